"""L2LFlows: layer-to-layer flows, masked autoregressive and convolutional."""
