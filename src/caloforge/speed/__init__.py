"""Speed: time and memory that models and Geant4 take for a shower, and the machine beneath."""
