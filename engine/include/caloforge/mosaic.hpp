/// Showers of a fitted mosaic model in C++17, with nothing but the standard library.
///
///     #include <caloforge/mosaic.hpp>
///     namespace mosaic = caloforge::mosaic;
///
///     const mosaic::Model model = mosaic::load("photons.mosaic");  // once, for all threads
///     mosaic::Scratch scratch(model);                              // one a thread
///     std::vector<mosaic::Hit> hits;
///     const std::int16_t code = mosaic::energy_code(energy);
///     scratch.generate({mosaic::shower_key(seed, event), energy, &code}, hits);
///
/// The same key, energy and codes give the same bits as the Python package, in any order and number of threads, unless
/// the compiler may reorder floating point (-ffast-math). Energies are in MeV.
#pragma once

#include "mosaic/file.hpp"
#include "mosaic/generate.hpp"
#include "mosaic/tiles.hpp"
