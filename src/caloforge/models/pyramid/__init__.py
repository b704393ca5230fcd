"""The Calorimeter Pyramid: hit layers, clusters and cells, drawn as sets."""
