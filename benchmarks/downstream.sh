#!/usr/bin/env bash
# Reconstructions that learnt from generated photons and electrons:  benchmarks/downstream.sh FOLDER [PHOTON_MODEL]
# Two hours on two cores, most of them Geant4 (CALOFORGE_GEANT4_DATA names its data sets).
# Every step goes on, or is skipped, when the script is run again.
set -euo pipefail
out=$1 photons=${2:-caloclouds-2:siw-ecal}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$out"
simulate() { # FILE PARTICLE COUNT SEED SCORING
  [ -e "$out/$1.h5" ] || caloforge simulate --geometry siw-ecal --particle "$2" --energy 10:100 \
    --count "$3" --seed "$4" --scoring "$5" --out "$out/$1.h5"
}
generate() { [ -e "$out/$1.h5" ] || caloforge generate "$2" --like "$out/$3.h5" --seed "$4" --out "$out/$1.h5"; }

# a model of electrons beside that of photons
simulate electrons e- 4000 11 steps
caloforge train caloclouds-2/small --data "$out/electrons.h5" --out "$out/edm_e" training.point_diffusion.steps=10000

# showers that neither model has seen, and generated ones of the same particles
simulate fresh_e e- 2000 21 cells
simulate fresh_g gamma 2000 22 cells
generate edm25_e "$out/edm_e" fresh_e 23
generate edm25_g "$photons" fresh_g 24

python "$here/downstream.py" "$out"
