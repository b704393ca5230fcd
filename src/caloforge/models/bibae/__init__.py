"""BIB-AE: bounded information bottleneck autoencoders of shower images, with a post-processor.

Getting High (arXiv:2005.05334) for one angle, New Angles (arXiv:2303.18150) for energy and angle.
"""
