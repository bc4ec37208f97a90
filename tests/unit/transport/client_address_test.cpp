#include "../../../reference-server/transport/client_address.hpp"
#include "../../../reference-server/transport/connection_places.hpp"
#include "catch.hpp"

#include <string>
#include <vector>

using namespace roundhouse::server;

namespace {

client_address client(const char* address) {
    return client_address::of(asio::ip::make_address(address));
}

bool contains(const char* list, const char* address) {
    return address_set::parse(list).value().contains(asio::ip::make_address(address));
}

} // namespace

TEST_CASE("an IPv4 address is one client, and so is an IPv6 network") {
    CHECK(client("192.0.2.7") == client("192.0.2.7"));
    CHECK(client("192.0.2.7") == client("::ffff:192.0.2.7"));
    CHECK(client("192.0.2.7") != client("192.0.2.8"));
    CHECK(client("2001:db8:0:1::1") == client("2001:db8:0:1:ffff::2"));
    CHECK(client("2001:db8:0:1::1") != client("2001:db8:0:2::1"));
    CHECK(to_string(client("192.0.2.7")) == "192.0.2.7");
    CHECK(to_string(client("2001:db8:0:1::1")) == "2001:db8:0:1::/64");
    CHECK(to_string(client_address{}) == "unix");
    CHECK(to_string(client("::1")) == "::/64");
    CHECK_FALSE(client("::1").is_unix_socket());
}

TEST_CASE("a client's address is read as proxies write it") {
    for (const auto* const text : {"192.0.2.7", "192.0.2.7:4321", "::ffff:192.0.2.7"})
        CHECK(client_address::parse(text) == client("192.0.2.7"));
    for (const auto* const text : {"2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4321"})
        CHECK(client_address::parse(text) == client("2001:db8::1"));
    for (const auto* const text : {"", "unknown", "_hidden", "[", "[]", "192.0.2", "host:80"})
        CHECK_FALSE(client_address::parse(text));
}

TEST_CASE("a set of addresses contains those of its networks") {
    CHECK(contains("10.0.0.0/8", "10.255.0.1"));
    CHECK_FALSE(contains("10.0.0.0/8", "11.0.0.1"));
    CHECK(contains("192.0.2.128/25", "192.0.2.200"));
    CHECK_FALSE(contains("192.0.2.128/25", "192.0.2.100"));
    CHECK(contains("192.0.2.7", "::ffff:192.0.2.7"));
    CHECK(contains("::1, 2001:db8::/32", "2001:db8:5::1"));
    CHECK_FALSE(contains("::1, 2001:db8::/32", "2001:db9::1"));
    CHECK(contains("0.0.0.0/0", "198.51.100.1"));
    CHECK_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
    CHECK_FALSE(contains("", "127.0.0.1"));
}

TEST_CASE("places are counted in all and by client") {
    using answer = connection_places::answer;
    connection_places places(4, 2);
    const auto a = client("192.0.2.1");
    const auto b = client("192.0.2.2");
    CHECK(places.fullest(2).empty());
    CHECK(places.take(b) == answer::taken);
    CHECK(places.take(a) == answer::taken);
    CHECK(places.take(a) == answer::taken);
    CHECK(places.take(a) == answer::all_of_client_taken);
    CHECK(places.fullest(2) == std::vector{a, b});
    CHECK(places.take(std::nullopt) == answer::taken);
    CHECK(places.take(std::nullopt) == answer::all_taken);
    CHECK(places.take(b) == answer::all_taken);
    CHECK(places.taken() == 4);
    CHECK(places.give_back(a) == 3);
    CHECK(places.take(b) == answer::taken);
    CHECK(places.fullest(1) == std::vector{b});
    for (const auto& client : {std::optional(a), std::optional(b), std::optional(b)})
        (void)places.give_back(client);
    CHECK(places.give_back(std::nullopt) == 0);
    CHECK(places.fullest(2).empty());
}
