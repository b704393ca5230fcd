// The model compiled by itself: against Geant4's headers where they are, else against the stand-in.
#include "MosaicFastSimulation.hh"
