// Showers of a mosaic model in C++:  showers MODEL.mosaic ENERGY_IN_MEV COUNT SEED [CODE...]
//
// The codes are those of the incident particle's conditions; the first is that of the energy unless it is given.
// Prints means, time, and the cells of the first shower. Shower i of a seed is the one that Python makes.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include <caloforge/mosaic.hpp>

namespace mosaic = caloforge::mosaic;

namespace {

struct Job {
    float energy;
    std::uint64_t count, seed;
    std::vector<std::int16_t> codes;
};

std::vector<std::int16_t> codes_of(const mosaic::Model& model, float energy, int given, char** code) {
    std::vector<std::int16_t> codes(std::size_t(model.conditions()), 0);
    codes.at(0) = mosaic::energy_code(energy);
    for (int i = 0; i < given; ++i) codes.at(std::size_t(i)) = std::int16_t(std::atoi(code[i]));
    return codes;
}

/// As a simulation would: one shower after the other.
double make(const mosaic::Model& model, const Job& job, std::vector<mosaic::Hit>& hits, std::size_t& first) {
    mosaic::Scratch scratch(model);
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < job.count; ++i) {
        scratch.generate({mosaic::shower_key(job.seed, i), job.energy, job.codes.data()}, hits);
        if (i == 0) first = hits.size();
    }
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void tell(const Job& job, const std::vector<mosaic::Hit>& hits, std::size_t first, double ms) {
    double energy = 0;
    for (const mosaic::Hit& hit : hits) energy += hit.energy;
    std::printf("showers %llu\n", static_cast<unsigned long long>(job.count));
    std::printf("hits %.3f\n", double(hits.size()) / double(job.count));
    std::printf("energy %.4f MeV\n", energy / double(job.count));
    std::printf("time %.4f ms\n", ms / double(job.count));
    for (std::size_t i = 0; i < first; ++i) std::printf("cell %d %.9g\n", hits[i].cell, double(hits[i].energy));
}

int run(int argc, char** argv) {
    const mosaic::Model model = mosaic::load(argv[1]);
    Job job{std::strtof(argv[2], nullptr), std::strtoull(argv[3], nullptr, 10), std::strtoull(argv[4], nullptr, 10),
            {}};
    job.codes = codes_of(model, job.energy, argc - 5, argv + 5);
    std::vector<mosaic::Hit> hits;
    std::size_t first = 0;
    const double ms = make(model, job, hits, first);
    tell(job, hits, first, ms);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5) {
        std::fprintf(stderr, "showers MODEL.mosaic ENERGY_IN_MEV COUNT SEED [CODE...]\n");
        return 2;
    }
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
