#include "client_address.hpp"

#include "characters.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace roundhouse::server {

namespace {

using address_bytes = std::array<std::uint8_t, 16>;

constexpr std::size_t v4_prefix_bits = 96;
constexpr std::size_t bits_of_one_client = 64;

address_bytes bytes_of(const asio::ip::address& address) {
    if (address.is_v6()) return address.to_v6().to_bytes();
    return asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()).to_bytes();
}

bool is_v4(const address_bytes& bytes) { return asio::ip::address_v6(bytes).is_v4_mapped(); }

/// Whether two addresses begin with the same bits.
bool same_bits(const address_bytes& a, const address_bytes& b, std::size_t bits) noexcept {
    const auto whole = static_cast<std::ptrdiff_t>(bits / 8);
    if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
    const auto rest = bits % 8;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

std::optional<std::size_t> read_bits(std::string_view text, std::size_t most) noexcept {
    std::size_t bits = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), bits);
    if (failed != std::errc() || end != text.data() + text.size() || bits > most) return {};
    return bits;
}

} // namespace

client_address client_address::of(const asio::ip::address& address) {
    client_address out{true, bytes_of(address)};
    if (!is_v4(out.bytes))
        std::fill(out.bytes.begin() + bits_of_one_client / 8, out.bytes.end(), std::uint8_t{0});
    return out;
}

std::optional<client_address> client_address::parse(std::string_view text) {
    const auto bracket = text.starts_with('[') ? text.find(']') : text.npos;
    if (bracket != text.npos) text = text.substr(1, bracket - 1);
    else if (std::ranges::count(text, ':') == 1) text = text.substr(0, text.find(':'));
    asio::error_code failed;
    const auto address = asio::ip::make_address(std::string(text), failed);
    return failed ? std::nullopt : std::optional(of(address));
}

std::string to_string(const client_address& address) {
    if (address.is_unix_socket()) return "unix";
    const asio::ip::address_v6 v6(address.bytes);
    if (v6.is_v4_mapped()) return asio::ip::make_address_v4(asio::ip::v4_mapped, v6).to_string();
    return v6.to_string() + "/64";
}

std::string host_and_port(const std::string& host, std::uint16_t port) {
    const bool v6 = host.find(':') != std::string::npos;
    return (v6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

result<address_set> address_set::parse(std::string_view list) {
    address_set out;
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        const auto part = trimmed(list.substr(0, comma));
        list.remove_prefix(std::min(comma + 1, list.size()));
        const auto slash = part.find('/');
        std::error_code failed;
        const auto address = asio::ip::make_address(std::string(part.substr(0, slash)), failed);
        const std::size_t most = !failed && address.is_v4() ? 32 : 128;
        const auto bits = slash == part.npos ? std::optional(most)
                                             : read_bits(part.substr(slash + 1), most);
        if (failed || !bits)
            return fail(errc::invalid_request,
                        std::string("'").append(part).append(
                            "' is no address or network, such as 10.0.0.7 or 10.0.0.0/8"));
        out.networks_.push_back(
            {bytes_of(address), *bits + (address.is_v4() ? v4_prefix_bits : 0)});
    }
    return out;
}

bool address_set::contains(const asio::ip::address& address) const noexcept {
    if (networks_.empty()) return false;
    const auto bytes = bytes_of(address);
    return std::ranges::any_of(
        networks_, [&](const network& known) { return same_bits(bytes, known.bytes, known.bits); });
}

} // namespace roundhouse::server
