#include "simulate.hpp"

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string_view>
#include <system_error>

namespace {

constexpr std::string_view usage =
    "roundhouse-sim --seed N [--seeds COUNT] [--actions N] [--crash-at K]... "
    "[--trace]\n"
    "Simulates fleets, and says which rule broke. The same arguments always "
    "make the same run.\n";

struct arguments {
    roundhouse::testing::sim::run_options options;
    std::uint64_t seeds = 1;
};

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t out = 0;
    const auto* const end = text.data() + text.size();
    const auto [rest, failure] = std::from_chars(text.data(), end, out);
    if (failure != std::errc{} || rest != end) return std::nullopt;
    return out;
}

/// False if there is no such argument.
bool set(std::string_view name, std::uint64_t value, arguments& out) {
    if (name == "--seed") out.options.seed = value;
    else if (name == "--seeds") out.seeds = value;
    else if (name == "--actions") out.options.actions = value;
    else if (name == "--crash-at") out.options.crash_at.insert(value);
    else return false;
    return true;
}

std::optional<arguments> parse(int count, char** texts) {
    arguments out;
    for (int i = 1; i < count; ++i) {
        const std::string_view name = texts[i];
        if (name == "--trace") {
            out.options.whole_trace = true;
            continue;
        }
        const auto value = i + 1 < count ? parse_number(texts[i + 1]) : std::nullopt;
        if (!value || !set(name, *value, out)) return std::nullopt;
        ++i;
    }
    return out;
}

} // namespace

int main(int count, char** texts) {
    const auto parsed = parse(count, texts);
    if (!parsed) {
        std::cerr << usage;
        return EXIT_FAILURE;
    }
    roundhouse_tests::sweep all;
    auto options = parsed->options;
    for (std::uint64_t i = 0; i < parsed->seeds; ++i, ++options.seed) {
        all.run(options);
        if (options.whole_trace && all.broken.empty())
            std::cout << roundhouse_tests::simulate(options).trace;
    }
    std::cout << all.broken << all.summary();
    return all.broken.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
}
