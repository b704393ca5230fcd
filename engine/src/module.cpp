// The Python module caloforge._engine: thin, everything is in the headers.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <chrono>
#include <mutex>

#include <caloforge/boosting.hpp>
#include <caloforge/mosaic.hpp>
#include <caloforge/mosaic_fit.hpp>

#include "parallel.hpp"

namespace nb = nanobind;
using namespace nb::literals;
namespace boosting = caloforge::boosting;
namespace mosaic = caloforge::mosaic;

namespace {

template <class T, int N>
using Array = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

/// The numbers of an array that lives as long as they are looked at.
template <class A>
auto view(const A& array) {
    return mosaic::Span<std::remove_const_t<typename A::Scalar>>{array.data(), array.size()};
}

/// The numbers of an attribute.
/// @throws mosaic::Error it is no array of this type, on end.
template <class T>
mosaic::Span<T> span(nb::handle object, const char* name) {
    nb::ndarray<const T, nb::c_contig, nb::device::cpu> array;
    if (!nb::try_cast(object.attr(name), array, false))
        throw mosaic::Error(std::string("The model is broken: ") + name + " has another type or gaps in memory.");
    return {array.data(), array.size()};
}

mosaic::Program program_of(nb::handle o) {
    return {nb::cast<std::int32_t>(o.attr("nodes")), nb::cast<std::int32_t>(o.attr("conditions")),
            nb::cast<float>(o.attr("threshold")), span<std::uint8_t>(o, "kind"),
            span<std::int32_t>(o, "parent"), span<std::int32_t>(o, "exact"),
            span<std::int32_t>(o, "few"), span<std::int32_t>(o, "many"),
            span<std::int32_t>(o, "child"),
            span<std::int32_t>(o, "child_start"), span<std::int32_t>(o, "context"),
            span<std::int32_t>(o, "context_start"), span<std::int32_t>(o, "capacity"),
            span<std::int32_t>(o, "root"), span<std::int32_t>(o, "cell")};
}

mosaic::Tables tables_of(nb::handle o) {
    return {span<std::int32_t>(o, "roots"), span<std::int16_t>(o, "feature"),
            span<std::int16_t>(o, "limit"), span<std::int32_t>(o, "kid"),
            span<std::int32_t>(o, "start"), span<std::int32_t>(o, "count"),
            span<std::int32_t>(o, "weights_start"), span<std::int32_t>(o, "weights"),
            span<std::int64_t>(o, "bias"), span<std::int64_t>(o, "hit_weight"),
            span<std::uint8_t>(o, "split_hits"),
            span<std::int16_t>(o, "split_angle"), span<std::int16_t>(o, "split_ratio"),
            span<std::uint16_t>(o, "pattern"), span<std::int32_t>(o, "share_start"),
            span<float>(o, "share"), span<std::int32_t>(o, "pull_start"),
            span<std::int16_t>(o, "pull_place"), span<std::uint8_t>(o, "pull_child"),
            span<std::int16_t>(o, "pull"), span<float>(o, "sine"), span<float>(o, "exponential")};
}

mosaic::Roots roots_of(nb::handle o) {
    return {span<float>(o, "energy"), span<std::int16_t>(o, "codes"), span<std::int32_t>(o, "hits"),
            span<float>(o, "excess"), span<std::int32_t>(o, "turn"), span<std::int32_t>(o, "hit_power"),
            span<std::int32_t>(o, "energy_power"), span<std::int32_t>(o, "scale"),
            nb::cast<std::int32_t>(o.attr("window")), nb::cast<std::int32_t>(o.attr("nearest"))};
}

/// A vector as a numpy array that owns it.
template <class T>
nb::ndarray<nb::numpy, T> owned(std::vector<T>&& values) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::ndarray<nb::numpy, T>(kept->data(), {kept->size()}, owner);
}

/// The same in rows of `columns`.
template <class T>
nb::ndarray<nb::numpy, T> owned(std::vector<T>&& values, std::size_t rows, std::size_t columns) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::ndarray<nb::numpy, T>(kept->data(), {rows, columns}, owner);
}

/// Whether Ctrl-C was pressed; the exception is left for Python.
bool interrupted() {
    nb::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
}

/// Asks `interrupted` ten times a second, however often it is asked.
class Patience {
public:
    bool pressed() const { return pressed_; }

    bool operator()() {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ < std::chrono::milliseconds(100)) return pressed_;
        last_ = now;
        return pressed_ = pressed_ || interrupted();
    }

private:
    bool pressed_ = false;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// A model, and engines for it.
struct Model {
    Model(nb::handle program, nb::handle tables, nb::handle roots)
        : model(program_of(program), tables_of(tables), roots_of(roots)) {}

    const mosaic::Model model;
    caloforge::Pool<1> single{model};
    caloforge::Pool<8> several{model};
};

nb::tuple generate(Model& self, const Array<float, 1>& energy, const Array<std::int16_t, 2>& codes,
                   const Array<std::uint64_t, 1>& keys, int threads) {
    const std::size_t count = keys.size(), conditions = std::size_t(self.model.conditions());
    if (energy.size() != count || codes.shape(0) != count || codes.shape(1) != conditions)
        throw mosaic::Error("Energies, codes and keys are not of the same showers.");
    caloforge::Showers made;
    bool finished;
    {
        nb::gil_scoped_release release;
        const auto shower = [&](std::size_t i) {
            return mosaic::Shower{keys.data()[i], energy.data()[i], codes.data() + i * conditions};
        };
        finished = count == 1 ? caloforge::generate(self.single, count, shower, threads, interrupted, made)
                              : caloforge::generate(self.several, count, shower, threads, interrupted, made);
    }
    if (!finished) throw nb::python_error();
    return nb::make_tuple(owned(std::move(made.counts)), owned(std::move(made.cell)), owned(std::move(made.energy)));
}

mosaic::Tiles tiles_of(nb::handle o, std::int32_t side, std::int32_t layers, std::int32_t conditions, bool leaning,
                       float step) {
    return {side, layers, conditions, leaning, step,
            span<std::int16_t>(o, "feature"), span<std::int16_t>(o, "limit"), span<std::int32_t>(o, "kid"),
            span<std::int32_t>(o, "start"), span<std::int32_t>(o, "count"), span<std::int16_t>(o, "centre")};
}

/// Chooses tiles; one call at a time.
struct TileModel {
    TileModel(nb::handle tiles, std::int32_t side, std::int32_t layers, std::int32_t conditions, bool leaning,
              float step)
        : chooser(tiles_of(tiles, side, layers, conditions, leaning, step)) {}

    mosaic::TileChooser chooser;
    std::mutex mutex;
};

/// @throws mosaic::Error a cell is none of the read-out, or cells of a shower do not rise.
void check_cells(const Array<std::int32_t, 1>& counts, const Array<std::int32_t, 1>& cell, std::int32_t cells) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const std::int32_t count = counts.data()[i];
        if (count < 0 || std::size_t(count) > cell.size() - at)
            throw mosaic::Error("Hits and cells are not of the same showers.");
        std::int32_t last = -1;
        for (const std::size_t end = at + std::size_t(count); at < end; last = cell.data()[at++])
            if (cell.data()[at] <= last || cell.data()[at] >= cells)
                throw mosaic::Error("Cells do not rise in a shower, or are none of the read-out.");
    }
    if (at != cell.size()) throw mosaic::Error("Hits and cells are not of the same showers.");
}

nb::ndarray<nb::numpy, std::int64_t> choose_tiles(TileModel& self, const Array<std::int32_t, 1>& counts,
                                                  const Array<std::int32_t, 1>& cell, const Array<float, 1>& energy,
                                                  const Array<std::int16_t, 2>& codes,
                                                  const Array<std::uint64_t, 1>& keys) {
    mosaic::TileChooser& chooser = self.chooser;
    const std::size_t showers = keys.size(), conditions = std::size_t(chooser.conditions());
    if (counts.size() != showers || codes.shape(0) != showers || codes.shape(1) != conditions ||
        energy.size() != cell.size())
        throw mosaic::Error("Hits, cells, energies, codes and keys are not of the same showers.");
    std::vector<std::int64_t> chosen(cell.size());
    {
        nb::gil_scoped_release release;
        const std::lock_guard<std::mutex> lock(self.mutex);
        check_cells(counts, cell, chooser.cells());
        std::size_t at = 0;
        for (std::size_t i = 0; i < showers; at += std::size_t(counts.data()[i++]))
            chooser.choose(keys.data()[i], cell.data() + at, energy.data() + at, std::size_t(counts.data()[i]),
                           codes.data() + i * conditions, chosen.data() + at);
    }
    return owned(std::move(chosen));
}

nb::tuple tuple_of(mosaic::Samples&& s) {
    const std::size_t rows = s.hits.size(), children = std::size_t(s.children);
    const std::size_t length = std::size_t(std::max(s.length, 0));
    return nb::make_tuple(owned(std::move(s.context), rows, length), owned(std::move(s.hits)),
                          owned(std::move(s.excess)), owned(std::move(s.child_hits), rows, children),
                          owned(std::move(s.child_excess), rows, children));
}

nb::tuple collect(nb::handle program, const Array<std::int32_t, 1>& counts, const Array<std::int32_t, 1>& cell,
                  const Array<float, 1>& energy, const Array<std::int16_t, 2>& codes, const Array<float, 1>& keep,
                  const Array<std::int64_t, 1>& most, std::uint64_t seed) {
    const mosaic::RealShowers real{view(counts), view(cell), view(energy), view(codes)};
    mosaic::Collector collector(program_of(program), view(keep), view(most), seed);
    Patience patience;
    bool finished;
    {
        nb::gil_scoped_release release;
        finished = collector.add(real, patience);
    }
    if (!finished) throw nb::python_error();
    nb::list samples;
    for (mosaic::Samples& of : collector.samples) samples.append(tuple_of(std::move(of)));
    return nb::make_tuple(samples, owned(std::move(collector.visits)));
}

nb::tuple build_tree(const Array<std::int16_t, 2>& context, const Array<float, 2>& targets, std::int64_t leaf,
                     std::int32_t depth, double features, std::uint64_t seed) {
    Patience patience;
    mosaic::Tree tree;
    {
        nb::gil_scoped_release release;
        mosaic::Growth growth;
        growth.leaf = leaf, growth.depth = depth, growth.features = features, growth.seed = seed;
        tree = mosaic::Grower(view(context), context.shape(1), view(targets), growth).grow(patience);
    }
    if (patience.pressed()) throw nb::python_error();
    return nb::make_tuple(owned(std::move(tree.feature)), owned(std::move(tree.limit)), owned(std::move(tree.kid)),
                          owned(std::move(tree.start)), owned(std::move(tree.count)), owned(std::move(tree.order)));
}

/// @throws mosaic::Error arrays do not fit to each other, or name a bin that is none.
void check_boosting(const Array<std::uint8_t, 2>& bins, const Array<std::int32_t, 1>& used,
                    const Array<std::uint8_t, 2>& masks, const boosting::Growth& growth) {
    const auto least = std::size_t(2 * std::max(growth.leaves, 1) - 1);
    bool fits = growth.width > 0 && growth.fewest > 0 && used.size() == bins.shape(0) &&
                masks.shape(1) == bins.shape(0) && masks.shape(0) >= least && bins.shape(0) > 0;
    for (std::size_t i = 0; fits && i < used.size(); ++i) fits = used.data()[i] > 0 && used.data()[i] <= growth.width;
    for (std::size_t i = 0; fits && i < bins.size(); ++i) fits = bins.data()[i] < growth.width;
    if (!fits) throw mosaic::Error("Bins, masks and sizes of a boosted tree do not fit to each other.");
}

nb::tuple boost_tree(const Array<std::uint8_t, 2>& bins, const Array<std::int32_t, 1>& used,
                     const Array<float, 1>& gradient, const Array<float, 1>& hessian,
                     const Array<std::uint8_t, 2>& masks, std::int32_t width, std::int32_t leaves,
                     std::int32_t fewest, double curvature) {
    const boosting::Growth growth{width, leaves, fewest, curvature};
    const std::size_t rows = bins.shape(1);
    check_boosting(bins, used, masks, growth);
    if (gradient.size() != rows || hessian.size() != rows || rows > (std::size_t(1) << 30))
        throw mosaic::Error("Bins, gradients and hessians are not of the same rows.");
    boosting::Tree tree;
    {
        nb::gil_scoped_release release;
        const boosting::Table table{bins.data(), used.data(), gradient.data(), hessian.data(), rows, bins.shape(0)};
        tree = boosting::Grower(table, masks.data(), growth).grow();
    }
    return nb::make_tuple(owned(std::move(tree.column)), owned(std::move(tree.bin)), owned(std::move(tree.kid)),
                          owned(std::move(tree.value)), owned(std::move(tree.leaf)), tree.looked);
}

}  // namespace

NB_MODULE(_engine, m) {
    m.doc() = "The compiled engine: mosaic, and the trees of the judge.";
    nb::exception<mosaic::Error>(m, "Error", PyExc_ValueError);
    nb::class_<Model>(m, "Model", "A checked and packed model.")
        .def(nb::init<nb::handle, nb::handle, nb::handle>(), "program"_a, "tables"_a, "roots"_a)
        .def("generate", &generate, "energy"_a, "codes"_a, "keys"_a, "threads"_a);
    nb::class_<TileModel>(m, "TileModel", "Checked tiles of a model.")
        .def(nb::init<nb::handle, std::int32_t, std::int32_t, std::int32_t, bool, float>(), "tiles"_a, "side"_a,
             "layers"_a, "conditions"_a, "leaning"_a, "step"_a)
        .def("choose", &choose_tiles, "counts"_a, "cell"_a, "energy"_a, "codes"_a, "keys"_a);
    m.def("collect", &collect, "program"_a, "counts"_a, "cell"_a, "energy"_a, "codes"_a, "keep"_a, "most"_a, "seed"_a);
    m.def("build_tree", &build_tree, "context"_a, "targets"_a, "leaf"_a, "depth"_a, "features"_a, "seed"_a);
    m.def("boost_tree", &boost_tree, "bins"_a, "used"_a, "gradient"_a, "hessian"_a, "masks"_a, "width"_a, "leaves"_a,
          "fewest"_a, "curvature"_a);
}
