"""Public data sets of calorimeter showers: which there are, and fetching them."""
