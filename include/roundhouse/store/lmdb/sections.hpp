#pragma once

#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

/// The form of a record: a checksum, a head of fixed size, and sections. A section is a tag, a
/// length and its bytes, and is left out where the record has nothing to say in it.
///
/// A later field of a record is a new section: records without it stay as they are. A program that
/// does not know a section must not drop it, and so a store that has one refuses the program
/// (`layout` in schema.hpp).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

static_assert(std::endian::native == std::endian::little,
              "LMDB's files are of the machine's byte order, and records of the little-endian one");

/// Appends values as bytes. Numbers are little-endian: they are read as they lie.
class value_writer {
public:
    template <std::unsigned_integral Number> void number(Number value) {
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    template <std::size_t N> void raw(const std::array<std::uint8_t, N>& bytes) {
        raw({reinterpret_cast<const char*>(bytes.data()), N});
    }
    void raw(std::string_view bytes) { bytes_.append(bytes); }
    void text(std::string_view value) {
        number(static_cast<std::uint32_t>(value.size()));
        raw(value);
    }
    void time(instant at) { number(static_cast<std::uint64_t>(at.time_since_epoch().count())); }

protected:
    std::string bytes_;
};

/// Writes a record: its head, then its sections.
class record_writer : public value_writer {
public:
    record_writer() { number(std::uint64_t{0}); } // the checksum's place

    /// Adds a section of the bytes that `write()` adds. `Tag` is an enumeration of bytes.
    template <class Tag, class Write> void section(Tag tag, const Write& write) {
        number(static_cast<std::uint8_t>(tag));
        const auto at = bytes_.size();
        number(std::uint32_t{0});
        write();
        const auto size = static_cast<std::uint32_t>(bytes_.size() - at - sizeof(std::uint32_t));
        std::memcpy(bytes_.data() + at, &size, sizeof size);
    }
    /// Adds a section of this text, unless it is empty.
    template <class Tag> void text_section(Tag tag, std::string_view bytes) {
        if (!bytes.empty()) section(tag, [&] { raw(bytes); });
    }
    template <class Tag> void time_section(Tag tag, const std::optional<instant>& at) {
        if (at) section(tag, [&] { time(*at); });
    }

    /// Ends the record and returns it. Nothing may be written afterwards.
    [[nodiscard]] std::string_view finish() {
        const auto sum = checksum(std::string_view(bytes_).substr(sizeof(std::uint64_t)));
        std::memcpy(bytes_.data(), &sum, sizeof sum);
        return bytes_;
    }
};

/// Reads values where they lie, numbers in this order of bytes. After the first thing that does not
/// fit it is `damaged`, and all further reads return zeroes.
template <std::endian Order> class ordered_reader {
public:
    explicit ordered_reader(std::string_view bytes) noexcept : rest_(bytes) {}

    template <std::unsigned_integral Number> Number number() noexcept {
        const auto bytes = take(sizeof(Number));
        if (bytes.empty()) return 0;
        if constexpr (Order == std::endian::big) return load_big_endian<Number>(bytes.data());
        Number value{0};
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
    template <std::size_t N> void raw(std::array<std::uint8_t, N>& into) noexcept {
        const auto bytes = take(N);
        if (!bytes.empty()) std::memcpy(into.data(), bytes.data(), N);
    }
    [[nodiscard]] uuid id() noexcept {
        uuid value;
        raw(value.bytes);
        return value;
    }
    [[nodiscard]] std::string_view text() noexcept { return take(number<std::uint32_t>()); }
    [[nodiscard]] instant time() noexcept {
        return instant{duration{static_cast<std::int64_t>(number<std::uint64_t>())}};
    }
    /// Reads a byte below `count` as an enumerator.
    template <class Enum> Enum choice(std::size_t count) noexcept {
        const auto value = number<std::uint8_t>();
        if (value >= count) fail("a value is out of its range");
        return static_cast<Enum>(value);
    }
    /// Reads the rest as sections: calls `take(tag, values)` for each. It returns false for a tag that it does not know.
    template <class Tag, class Take> void sections(const Take& take_section) {
        while (!at_end()) {
            const auto tag = static_cast<Tag>(number<std::uint8_t>());
            ordered_reader values(text());
            if (damaged()) return;
            if (!take_section(tag, values)) return fail("it has a section that is not known");
            if (values.damaged()) return fail(values.damage());
            if (!values.at_end()) return fail("a section is too long");
        }
    }
    /// All that has not been read.
    [[nodiscard]] std::string_view rest() noexcept { return take(rest_.size()); }

    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
    [[nodiscard]] bool damaged() const noexcept { return damage_ != nullptr; }
    /// What is wrong with the bytes; null if nothing is known to be.
    [[nodiscard]] const char* damage() const noexcept { return damage_; }

    void fail(const char* why) noexcept {
        if (damage_ == nullptr) damage_ = why;
        rest_ = {};
    }

protected:
    std::string_view take(std::size_t size) noexcept {
        if (size > rest_.size()) {
            fail("it ends early");
            return {};
        }
        const auto bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return bytes;
    }

private:
    std::string_view rest_;
    const char* damage_ = nullptr;
};

using value_reader = ordered_reader<std::endian::little>;

/// Reads a record: its head as values, then its sections.
class record_reader : public value_reader {
public:
    explicit record_reader(std::string_view record) noexcept
        : value_reader(record.substr(std::min(sizeof(std::uint64_t), record.size()))) {
        std::uint64_t sum = 0;
        if (record.size() < sizeof sum) {
            fail("it is too short");
        } else {
            std::memcpy(&sum, record.data(), sizeof sum);
            if (sum != checksum(record.substr(sizeof sum))) fail("its checksum is wrong");
        }
    }
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
