// Makes the store of schema 1 and the text beside it (README.md). Built with the headers of an old
// commit; no part of the build.
#include "../store_dump.hpp"

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>

using namespace roundhouse;

namespace {

instant at(int second) { return instant{std::chrono::seconds{1'750'000'000 + second}}; }

uuid id_of(std::uint8_t first, std::uint8_t second) {
    uuid id;
    id.bytes.fill(0x11);
    id.bytes[0] = first;
    id.bytes[1] = second;
    return id;
}

product make_product(std::uint8_t n, const std::string& slug) {
    product out;
    out.id = id_of(0xA0, n);
    out.slug = slug;
    out.display_name = "Product " + slug;
    out.key_hash.fill(n);
    out.created_at = at(n);
    return out;
}

/// A Fernet token is base64url of 1 + 8 + 16 + 64 + 32 bytes; some of the stored ones are no token.
std::string token(int n) {
    if (n % 5 == 4) return "no token";
    std::string text(164, static_cast<char>('A' + n));
    return text.substr(0, 160) + "QQ==";
}

std::string& reason_of(auto& engine) {
    if constexpr (requires { engine.reason; }) return engine.reason;
    else return engine.failure; // its first name
}

engine_record make_engine(const uuid& product, int n, const std::string& user) {
    engine_record out;
    out.id = id_of(static_cast<std::uint8_t>(n + 1), product.bytes[1]);
    out.product_id = product;
    out.user_id = user;
    out.version = n % 3 == 0 ? "v1" : "september-engine:latest";
    out.status = all_engine_statuses[static_cast<std::size_t>(n) % all_engine_statuses.size()];
    out.intent = static_cast<intent>(n % 9);
    out.boot = static_cast<boot_reason>(n % 5);
    out.origin = all_engine_statuses[static_cast<std::size_t>(n + 1) % all_engine_statuses.size()];
    out.generation = static_cast<std::uint64_t>(n) + 1;
    out.key_hash.fill(static_cast<std::uint8_t>(n + 100));
    out.sealed_key = token(n);
    if (n % 4 == 0) {
        out.next_key_hash.fill(static_cast<std::uint8_t>(n + 150));
        out.next_sealed_key = token(n + 1);
    }
    out.created_at = at(n);
    out.operation_started_at = at(n + 1);
    out.last_activity_at = at(n + 2);
    out.busy_until = at(n + 3);
    if (n % 2 == 0) out.last_health_at = at(n + 4);
    if (n % 3 == 0) out.deadline = at(n + 5);
    if (n % 4 == 1) out.restart_at = at(n + 6);
    if (n % 5 == 0) out.healthy_since = at(n + 7);
    out.restart_attempts = static_cast<std::uint32_t>(n);
    out.retries = static_cast<std::uint32_t>(n * 2);
    if (n % 2 == 1) reason_of(out) = "a reason";
    return out;
}

audit_entry make_row(const engine_record& engine, int n) {
    audit_entry out;
    out.timestamp = at(n % 7 == 3 ? n - 2 : n); // the clock was set back
    out.product_id = engine.product_id;
    if (n % 4 != 3) out.user_id = engine.user_id;
    if (n % 4 != 2) out.engine_id = engine.id;
    out.action = static_cast<audit_action>(n % 19);
    out.actor = n % 2 == 0 ? "system" : "first";
    if (n % 2 == 0)
        out.metadata = {{"port", std::int64_t{-9001}}, {"reason", "a \"text\""}, {"forced", true}};
    if (n % 3 == 0) out.took = duration{n * 10};
    if (n % 3 == 1) {
        out.from = engine.origin;
        out.to = engine.status;
    }
    return out;
}

void fill(lmdb_store& store) {
    auto first = make_product(1, "first");
    first.policy.max_engines = 100;
    first.policy.rate_limit_rpm = 1'000;
    first.policy.allow_provision = true;
    first.policy.allowed_versions = {"v1", "september-*"};
    auto second = make_product(2, "second");
    second.policy.allowed_versions.emplace(); // allows none
    change_set products;
    products.changes = {put_product{first}, put_product{second},
                        put_product{make_product(3, "third")}};
    or_throw(store.commit(products));
    first = *or_throw(store.find_product_named("first"));
    first.policy.allow_provision = false;
    change_set replaced;
    replaced.changes = {put_product{first}};
    or_throw(store.commit(replaced));
    const auto usable = [](std::uint16_t port) { return port != 9002; };
    for (int n = 0; n < 20; ++n) {
        const auto user = n == 0 ? "ada" : n == 19 ? std::string(255, 'u') : "user-" + std::to_string(n);
        const auto engine = make_engine(n % 3 == 2 ? second.id : first.id, n, user);
        change_set added;
        added.changes = {insert_engine{
            engine, {}, n % 2 == 0 ? std::optional(port_request{9001, 9100, usable}) : std::nullopt}};
        for (int row = 0; row < 3; ++row) added.audit.push_back(make_row(engine, n * 3 + row));
        const auto made = or_throw(store.commit(added)).engines.front();
        change_set changed;
        if (n % 6 == 5)
            changed.changes = {erase_engine{made->product_id, made->user_id, made->revision, n == 5}};
        else if (n % 6 == 4) changed.changes = {update_engine{*made, {}}};
        else continue;
        or_throw(store.commit(changed));
    }
    or_throw(store.prune_audit(at(5), 3));
}

} // namespace

int main(int, char** arguments) {
    lmdb_options options;
    options.folder = arguments[1];
    const auto store = or_throw(lmdb_store::open(options));
    fill(*store);
    roundhouse_tests::store_dump(std::cout, *store).write({"first", "second", "third"});
    or_throw(store->backup(arguments[2])); // without free pages
}
