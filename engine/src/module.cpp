// The Python module caloforge._engine: thin, everything is in the headers.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <caloforge/mosaic.hpp>

#include "parallel.hpp"

namespace nb = nanobind;
using namespace nb::literals;
namespace mosaic = caloforge::mosaic;

namespace {

template <class T, int N>
using Array = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

/// The numbers of an attribute, which is an array of this type already.
template <class T>
mosaic::Span<T> span(nb::handle object, const char* name) {
    const auto array = nb::cast<nb::ndarray<const T, nb::c_contig, nb::device::cpu>>(object.attr(name), false);
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
            span<float>(o, "share"), span<float>(o, "sine"), span<float>(o, "exponential")};
}

mosaic::Roots roots_of(nb::handle o) {
    return {span<float>(o, "energy"), span<std::int32_t>(o, "hits"), span<float>(o, "excess"),
            span<std::int32_t>(o, "turn"), nb::cast<std::int32_t>(o.attr("nearest"))};
}

/// A vector as a numpy array that owns it.
template <class T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> owned(std::vector<T>&& values) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::ndarray<nb::numpy, T, nb::ndim<1>>(kept->data(), {kept->size()}, owner);
}

/// Whether Ctrl-C was pressed; the exception is left for Python.
bool interrupted() {
    nb::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
}

nb::tuple generate(const mosaic::Model& model, const Array<float, 1>& energy, const Array<std::int16_t, 2>& codes,
                   const Array<std::uint64_t, 1>& keys, int threads) {
    const std::size_t count = keys.size();
    if (energy.size() != count || codes.shape(0) != count || codes.shape(1) != std::size_t(model.conditions))
        throw mosaic::Error("Energies, codes and keys are not of the same showers.");
    caloforge::Showers made;
    bool finished;
    {
        nb::gil_scoped_release release;
        const auto shower = [&](std::size_t i) {
            return mosaic::Shower{keys.data()[i], energy.data()[i], codes.data() + i * std::size_t(model.conditions)};
        };
        finished = caloforge::generate(model, count, shower, threads, interrupted, made);
    }
    if (!finished) throw nb::python_error();
    return nb::make_tuple(owned(std::move(made.counts)), owned(std::move(made.cell)), owned(std::move(made.energy)));
}

}  // namespace

NB_MODULE(_engine, m) {
    m.doc() = "The compiled engine of mosaic.";
    nb::exception<mosaic::Error>(m, "Error", PyExc_ValueError);
    nb::class_<mosaic::Model>(m, "Model", "A checked and packed model.")
        .def("__init__",
             [](mosaic::Model* self, nb::handle program, nb::handle tables, nb::handle roots) {
                 new (self) mosaic::Model(program_of(program), tables_of(tables), roots_of(roots));
             }, "program"_a, "tables"_a, "roots"_a)
        .def("generate", &generate, "energy"_a, "codes"_a, "keys"_a, "threads"_a);
}
