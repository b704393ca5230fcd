"""3DGAN (2109.07388): images of showers by a generative adversarial network with physics in its loss."""
