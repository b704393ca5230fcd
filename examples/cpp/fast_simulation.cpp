// Tries the model of fast_simulation.hpp on particles made by hand:  fast_simulation FOLDER GEV SEED
//
// Only against the stand-in of Geant4's headers; with Geant4 the header is for a program of one's own.

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "fast_simulation.hpp"

#if CALOFORGE_GEANT4

int main() {
    std::puts("Geant4's headers are here: fast_simulation.hpp compiles against them; put it into your application.");
    return 0;
}

#else

namespace {

int run(char** argv) {
    const double energy = std::atof(argv[2]) * CLHEP::GeV;
    const caloforge::Domain domain{{22}, 10 * CLHEP::GeV, 100 * CLHEP::GeV, 0.01, 0.0, 150.0};
    caloforge::FastSimulation model("mosaic", nullptr, argv[1], domain, std::strtoull(argv[3], nullptr, 10));
    const G4FastTrack photon(energy, {10, -5, 0}, {0, 0, 1}), leaning(energy, {0, 0, 0}, {0.6, 0, 0.8}),
        soft(1.0, {0, 0, 0}, {0, 0, 1}), inside(energy, {0, 0, 20}, {0, 0, 1}), edge(energy, {140, 0, 0}, {0, 0, 1});
    std::puts("compiled against a stand-in of Geant4's headers");
    std::printf("applicable photon %d pion %d\n", model.IsApplicable(G4ParticleDefinition(22)),
                model.IsApplicable(G4ParticleDefinition(211)));
    std::printf("trigger photon %d leaning %d soft %d inside %d edge %d\n", model.ModelTrigger(photon),
                model.ModelTrigger(leaning), model.ModelTrigger(soft), model.ModelTrigger(inside),
                model.ModelTrigger(edge));
    G4FastStep step;
    model.DoIt(photon, step);
    double sum = 0;
    for (const G4FastHit& hit : model.maker().hits) sum += hit.GetEnergy();
    std::printf("killed %d deposited %.6g MeV hits %zu seen %.6g MeV\n", step.killed, step.deposited,
                model.maker().hits.size(), sum);
    for (const G4FastHit& hit : model.maker().hits)
        std::printf("hit %.6g %.6g %.6g %.9g\n", hit.GetPosition().x(), hit.GetPosition().y(), hit.GetPosition().z(),
                    hit.GetEnergy());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::fprintf(stderr, "fast_simulation FOLDER GEV SEED\n");
        return 2;
    }
    try {
        return run(argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}

#endif
