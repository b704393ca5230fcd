"""Hits and energies of all layers, refined by splits in depth: what models of cells begin with."""
