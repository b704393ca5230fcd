"""The CaloPointFlow family: hits of cells as points of a normalising flow."""
