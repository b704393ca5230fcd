/// What fitting a mosaic model needs in C++: the steps of real showers, and trees on their contexts.
#pragma once

#include "mosaic_fit/collect.hpp"
#include "mosaic_fit/tree.hpp"
