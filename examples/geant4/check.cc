// Shoots photons at the model through the stand-in and prints its hits:  check MODEL.mosaic SEED < particles
//
// A line of the input is: event, name (gamma or e-), energy [MeV], x, y, z [mm], angle from the normal [rad]. Prints
// "replaced" or "left" for each, and the hits "x y z energy" of the replaced ones.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "MosaicFastSimulation.hh"

namespace {

void print_hits() {
    for (const G4FastHit& hit : G4FastSimHitMaker::made()) {
        const G4ThreeVector at = hit.GetPosition();
        if (hit.GetEnergy() > 1e-300) std::printf("hit %.9g %.9g %.9g %.9g\n", at.x(), at.y(), at.z(), hit.GetEnergy());
    }
    G4FastSimHitMaker::made().clear();
}

void shoot(MosaicFastSimulation& fast, const std::string& name, G4double energy, G4ThreeVector at, G4double angle) {
    const G4Track photon(energy);
    const G4FastTrack track(&photon, at, {std::sin(angle), 0, std::cos(angle)});
    const G4ParticleDefinition* particle = name == "gamma" ? G4Gamma::Definition() : G4Electron::Definition();
    if (!fast.IsApplicable(*particle) || !fast.ModelTrigger(track)) {
        std::printf("left\n");
        return;
    }
    G4FastStep step;
    fast.DoIt(track, step);
    std::printf("replaced killed=%d path=%g deposit=%g\n", step.killed, step.path, step.deposit);
    print_hits();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "check MODEL.mosaic SEED < particles\n");
        return 2;
    }
    try {
        const auto model = std::make_shared<const caloforge::mosaic::Model>(caloforge::mosaic::load(argv[1]));
        G4Region region;
        MosaicFastSimulation fast("mosaic", &region, model, silicon_tungsten(), {}, std::strtoull(argv[2], nullptr, 10));
        std::string name;
        G4double energy, x, y, z, angle;
        while (std::cin >> G4EventManager::GetEventManager()->event.number >> name >> energy >> x >> y >> z >> angle)
            shoot(fast, name, energy, {x, y, z}, angle);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
