#pragma once

#include <roundhouse/types.hpp>

#include <array>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// Encoding of values as bytes. Numbers are big-endian, so that keys sort as their values do.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

template <std::unsigned_integral Number> void store_big_endian(Number value, char* to) noexcept {
    for (std::size_t i = 0; i < sizeof value; ++i)
        to[i] = static_cast<char>(value >> (8 * (sizeof value - 1 - i)));
}

template <std::unsigned_integral Number>
[[nodiscard]] Number load_big_endian(const char* from) noexcept {
    Number value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i)
        value = static_cast<Number>((value << 8U) | static_cast<std::uint8_t>(from[i]));
    return value;
}

/// A 64-bit checksum that changes with any change within eight bytes. Protects against damage, not
/// against an attacker.
[[nodiscard]] inline std::uint64_t checksum(std::string_view bytes) noexcept {
    constexpr std::uint64_t odd = 0x9E3779B97F4A7C15ULL;
    std::uint64_t sum = (bytes.size() + 1) * odd;
    const auto add = [&](std::uint64_t word) {
        sum = (sum ^ word) * odd; // invertible, so that no change is lost
        sum ^= sum >> 32U;
    };
    for (; bytes.size() >= sizeof sum; bytes.remove_prefix(sizeof sum)) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), sizeof word);
        add(word);
    }
    std::uint64_t rest = 0;
    std::memcpy(&rest, bytes.data(), bytes.size());
    add(rest);
    return sum;
}

/// LMDB's limit on the size of a key, in bytes.
inline constexpr std::size_t max_key_bytes = 511;

/// Builds a key, without allocating.
class key_bytes {
public:
    key_bytes& text(std::string_view bytes) noexcept {
        assert(size_ + bytes.size() <= max_key_bytes);
        std::memcpy(bytes_.data() + size_, bytes.data(), bytes.size());
        size_ += bytes.size();
        return *this;
    }

    template <std::size_t N> key_bytes& raw(const std::array<std::uint8_t, N>& bytes) noexcept {
        return text({reinterpret_cast<const char*>(bytes.data()), N});
    }

    key_bytes& id(const uuid& id) noexcept { return raw(id.bytes); }

    template <std::unsigned_integral Number> key_bytes& number(Number value) noexcept {
        std::array<char, sizeof value> bytes{};
        store_big_endian(value, bytes.data());
        return text({bytes.data(), bytes.size()});
    }

    [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

private:
    std::array<char, max_key_bytes> bytes_;
    std::size_t size_ = 0;
};

/// Writes a record: first the version of its format, last a checksum.
class record_writer {
public:
    explicit record_writer(std::uint8_t version) { number(version); }

    template <std::unsigned_integral Number> void number(Number value) {
        const auto at = bytes_.size();
        bytes_.resize(at + sizeof value);
        store_big_endian(value, bytes_.data() + at);
    }

    template <std::size_t N> void raw(const std::array<std::uint8_t, N>& bytes) {
        bytes_.append(reinterpret_cast<const char*>(bytes.data()), N);
    }

    void text(std::string_view value) {
        number(static_cast<std::uint32_t>(value.size()));
        bytes_.append(value);
    }

    void time(instant at) { number(static_cast<std::uint64_t>(at.time_since_epoch().count())); }

    /// Writes a byte that says whether there is a value, and then what `write(value)` writes of it.
    template <class Value, class Write>
    void maybe(const std::optional<Value>& value, const Write& write) {
        number(static_cast<std::uint8_t>(value ? 1 : 0));
        if (value) write(*value);
    }

    void maybe(const std::optional<instant>& at) {
        maybe(at, [this](instant value) { time(value); });
    }

    /// Ends the record and returns it. Nothing may be written afterwards.
    [[nodiscard]] std::string_view finish() {
        number(checksum(bytes_));
        return bytes_;
    }

private:
    std::string bytes_;
};

/// Reads a record. After the first thing that does not fit the record is `damaged`, and all further
/// reads return zeroes.
class record_reader {
public:
    /// `newest` is the newest known version of the record.
    record_reader(std::string_view record, std::uint8_t newest) noexcept {
        constexpr auto sum = sizeof(std::uint64_t);
        if (record.size() < sum + 1) {
            fail("it is too short");
        } else {
            rest_ = record.substr(0, record.size() - sum);
            if (load_big_endian<std::uint64_t>(record.data() + rest_.size()) != checksum(rest_))
                fail("its checksum is wrong");
            else if (const auto version = number<std::uint8_t>(); version == 0 || version > newest)
                fail("its version is not known");
        }
    }

    template <std::unsigned_integral Number> Number number() noexcept {
        const auto bytes = take(sizeof(Number));
        return bytes.empty() ? Number{0} : load_big_endian<Number>(bytes.data());
    }

    template <std::size_t N> void raw(std::array<std::uint8_t, N>& into) noexcept {
        const auto bytes = take(N);
        if (!bytes.empty()) std::memcpy(into.data(), bytes.data(), N);
    }

    [[nodiscard]] std::string text() { return std::string(take(number<std::uint32_t>())); }

    [[nodiscard]] instant time() noexcept {
        return instant{duration{static_cast<std::int64_t>(number<std::uint64_t>())}};
    }

    /// Reads a byte below `count` as an enumerator.
    template <class Enum> Enum choice(std::size_t count) noexcept {
        const auto value = number<std::uint8_t>();
        if (value >= count) fail("a value is out of its range");
        return static_cast<Enum>(value);
    }

    template <class Value, class Read> void maybe(std::optional<Value>& into, const Read& read) {
        if (choice<bool>(2)) into = read();
        else into.reset();
    }

    void maybe(std::optional<instant>& into) {
        maybe(into, [this] { return time(); });
    }

    /// Checks that the whole record has been read. Returns what is wrong with the record; null if
    /// nothing is.
    [[nodiscard]] const char* finish() noexcept {
        if (damage_ == nullptr && !rest_.empty()) fail("it is too long");
        return damage_;
    }

    [[nodiscard]] bool damaged() const noexcept { return damage_ != nullptr; }

private:
    std::string_view take(std::size_t size) noexcept {
        if (size > rest_.size()) {
            fail("it ends early");
            return {};
        }
        const auto bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return bytes;
    }

    void fail(const char* why) noexcept {
        if (damage_ == nullptr) damage_ = why;
        rest_ = {};
    }

    std::string_view rest_;
    const char* damage_ = nullptr;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
