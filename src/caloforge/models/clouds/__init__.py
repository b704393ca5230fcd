"""The CaloClouds family: points of a shower, drawn independently of each other."""
