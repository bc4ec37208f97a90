// Pins what is stored, sent and configured, letter by letter: clients, disks, daemons and operators
// know these names, so that renaming something in the code must not change them.

#include "../../reference-server/option_table.hpp"
#include "catch.hpp"

#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/engine_copies.hpp>
#include <roundhouse/backend/subprocess/data_copies.hpp>
#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/backend/subprocess/port_locks.hpp>
#include <roundhouse/http/render.hpp>
#include <roundhouse/http/render_products.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/store/lmdb/conversion.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/folder.hpp>
#include <roundhouse/store/lmdb/records.hpp>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

using namespace roundhouse;

namespace {

constexpr instant noon{std::chrono::seconds{1'800'000'000}};

uuid id_of(std::uint8_t first) {
    uuid id;
    id.bytes[0] = first;
    return id;
}

engine_record sample_engine() {
    engine_record engine;
    engine.id = id_of(0xAB);
    engine.product_id = id_of(0xCD);
    engine.user_id = "ada";
    engine.version = "v1";
    engine.status = engine_status::sleeping;
    engine.intent = intent::wake;
    engine.boot = boot_reason::restart;
    engine.origin = engine_status::running;
    engine.revision = 1;
    engine.sequence = 2;
    engine.generation = 3;
    engine.port = 9001;
    engine.key_hash.fill(4);
    engine.sealed_key = "sealed";
    engine.next_key_hash.fill(5);
    engine.next_sealed_key = "next";
    engine.created_at = noon;
    engine.operation_started_at = noon + duration{1};
    engine.last_health_at = noon + duration{2};
    engine.last_activity_at = noon + duration{3};
    engine.busy_until = noon + duration{4};
    engine.deadline = noon + duration{5};
    engine.restart_at = noon + duration{6};
    engine.healthy_since = noon + duration{7};
    engine.restart_attempts = 8;
    engine.retries = 9;
    engine.reason = "idle";
    engine.last_exit = {13, 14, true};
    engine.restarts = 15;
    engine.reserved_memory_mb = 64;
    engine.defaults_revision = 65;
    engine.sleep_mode = sleep_mode::stopped;
    engine.sleeping_since = noon + duration{10};
    engine.asked_by = "admin:jo";
    engine_settings settings;
    settings.env_names = {"TOKEN"};
    settings.sealed_env = "env";
    settings.metadata = {{"plan", "pro"}};
    settings.limits = {.memory_mb = 64, .cpus = 0.5, .pids = 100};
    settings.stop_grace = duration{1'500};
    settings.sleep = {.after = duration{2'500}, .deep_after = duration{4'500}, .pinned = true};
    settings.revision = 3;
    settings.pending = {.env = true,
                        .limits = false,
                        .stop_grace = true,
                        .sealed_env = "before",
                        .limits_before = {.memory_mb = 32, .cpus = 0.25, .pids = 50},
                        .stop_grace_before = duration{3'500}};
    engine.settings = std::make_shared<const engine_settings>(std::move(settings));
    engine_upgrade upgrade{.step = upgrade_step::watch,
                           .from_version = "v1",
                           .to_version = "v2",
                           .healthy_for = duration{10'000},
                           .keep_copy = true,
                           .has_copy = true,
                           .drops_copy = true,
                           .failure = "it ended.",
                           .cause = boot_failure::exited,
                           .exit = {1, 2, true}};
    engine.upgrade = std::make_shared<const engine_upgrade>(std::move(upgrade));
    return engine;
}

product sample_product() {
    product one;
    one.id = id_of(0xCD);
    one.slug = "demo";
    one.display_name = "Demo";
    one.keys = {{1, {}, noon}};
    one.keys.front().hash.fill(6);
    one.policy = {10,
                  20,
                  15,
                  30,
                  40,
                  50,
                  60,
                  0.5,
                  70,
                  80,
                  false,
                  true,
                  std::vector<std::string>{"v1", "v2*"}};
    one.created_at = noon;
    one.revision = 7;
    one.deleting_since = noon;
    product_defaults defaults;
    defaults.version = "v1";
    defaults.settings.env_names = {"TOKEN"};
    defaults.settings.sealed_env = "env";
    defaults.settings.metadata = {{"plan", "pro"}};
    defaults.settings.limits = {.memory_mb = 64, .cpus = 0.5, .pids = 100};
    defaults.settings.stop_grace = duration{1'500};
    defaults.settings.sleep = {.after = duration{2'500}, .pinned = true};
    defaults.settings.revision = 3;
    defaults.env_changed = 1;
    defaults.limits_changed = 2;
    defaults.stop_grace_changed = 3;
    defaults.former = {{1, 2, {"OLD"}, "old", {.memory_mb = 32}, duration{500}}};
    one.defaults = std::make_shared<const product_defaults>(std::move(defaults));
    return one;
}

audit_entry sample_audit_entry() {
    audit_entry row;
    row.id = 11;
    row.timestamp = noon;
    row.product_id = id_of(0xCD);
    row.user_id = "ada";
    row.engine_id = id_of(0xAB);
    row.action = audit_action::auto_restart_success;
    row.actor = "system";
    row.metadata = {{"text", std::string("a")}, {"number", std::int64_t{5}}, {"flag", true}};
    row.took = duration{12};
    row.from = engine_status::provisioning;
    row.to = engine_status::running;
    return row;
}

template <class Names>
void list_names(std::ostream& out, std::string_view what, const Names& names) {
    for (const auto& row : names)
        out << what << ' ' << static_cast<int>(row.value) << ' ' << row.name << '\n';
}

void list_enumerations(std::ostream& out) {
    list_names(out, "status", detail::engine_status_names);
    list_names(out, "intent", detail::intent_names);
    list_names(out, "action", detail::audit_action_names);
    list_names(out, "denial", detail::denial_names);
    list_names(out, "health", detail::fleet_health_names);
    out << "boot_reason first " << static_cast<int>(boot_reason::first) << " start "
        << static_cast<int>(boot_reason::start) << " restart "
        << static_cast<int>(boot_reason::restart) << " rotate "
        << static_cast<int>(boot_reason::rotate) << " recover "
        << static_cast<int>(boot_reason::recover) << " settings "
        << static_cast<int>(boot_reason::settings) << " wake "
        << static_cast<int>(boot_reason::wake) << " upgrade "
        << static_cast<int>(boot_reason::upgrade) << " revert "
        << static_cast<int>(boot_reason::revert) << '\n';
    list_names(out, "upgrade_step", detail::upgrade_step_names);
    list_names(out, "boot_failure", detail::boot_failure_names);
    list_names(out, "sleep_mode", detail::sleep_mode_names);
}

// Bodies end with a newline.
void list_errors(std::ostream& out) {
    for (const auto code : detail::error_codes) {
        const auto n = static_cast<int>(code);
        const auto reply = http::error_reply(error{code, "message", 3}, "id");
        out << "error " << n << ' ' << code_name(code) << ' ' << reply.status << ' '
            << reply.retry_after_s << ' ' << reply.body;
    }
    error boot{errc::boot_timeout, "message"};
    for (const auto cause : all_boot_failures) {
        boot.details = error_details{cause, {1, 2, true}};
        out << "error " << http::error_reply(boot, "id").body;
    }
    error not_empty{errc::product_not_empty, "message"};
    not_empty.details.emplace();
    not_empty.details->engines = 3;
    out << "error " << http::error_reply(not_empty, "id").body;
    error upgrade{errc::upgrade_failed, "message"};
    upgrade.details = error_details{boot_failure::exited, {1, 2, true}, true};
    out << "error " << http::error_reply(upgrade, "id").body;
    out << "error " << http::not_found_reply("id").body;
    out << "error " << http::method_not_allowed_reply("GET", "id").body;
    out << "error " << http::payload_too_large_reply(65'536, "id").body;
}

void list_bodies(std::ostream& out) {
    const auto show = [&out](std::string_view name, const http::reply& reply) {
        out << "body " << name << ' ' << reply.status << ' ' << reply.content_type << ' '
            << reply.body;
    };
    engine_view view{std::make_shared<const engine_record>(sample_engine()), "http://url", "key",
                     noon};
    view.failure = engine_failure{"it ended.", {13, 14, true}, 8, noon, true};
    view.sleeps_at = view.busy_until = view.booted_at = noon;
    view.restarts = 15;
    view.sleep_mode = sleep_mode::stopped;
    view.sleeping_since = noon;
    view.limits = settings_of(*view.record).limits;
    view.stop_grace = duration{1'500};
    view.pinned = true;
    view.env_names = {"TOKEN"};
    view.pending = settings_of(*view.record).pending;
    view.upgrade = view.record->upgrade;
    const auto& record = *view.record;
    admitted_engine admitted(record.id, record.user_id, record.version, view.api_key);
    admitted.url = view.url;
    admitted.created_at = record.created_at;
    admitted.last_health_at = noon;
    fleet_counts counts;
    counts.by_status.fill(1);
    show("register", http::render_registration({id_of(0xCD), "demo", "key"}));
    show("policy", http::render_policy(sample_product().policy));
    show("defaults", http::render_defaults(sample_product().defaults));
    const auto product_record = std::make_shared<const product>(sample_product());
    show("product", http::render_product({product_record, counts, {{1, noon, noon, noon}}}));
    show("rotate-platform-key", http::render_rotated_platform_key({"key", 2}));
    show("delete-platform-key", http::render_deleted_platform_key(2));
    show("delete-product", http::render_product_deletion({id_of(0xCD), true, 0}));
    show("delete-product", http::render_product_deletion({id_of(0xCD), false, 3}));
    show("products", http::render_products({{product_record}, 1, "demo"}));
    show("destroy", http::render_destroyed(id_of(0xAB)));
    show("stop", http::render_stopped());
    show("rotate-key", http::render_rotated("key"));
    show("rotate-key of an administrator", http::render_rotated("key", http::viewer::admin));
    show("activity", http::render_activity(noon));
    show("engine", http::render_engine(view));
    show("engine of an administrator", http::render_engine(view, http::viewer::admin));
    show("admitted", http::render_admission({admitted, {}}));
    show("denied", http::render_admission({std::nullopt, denial::engine_not_found}));
    show("denied", http::render_admission(
                       {std::nullopt, denial::engine_unhealthy, engine_status::failed, 12}));
    show("starting", http::render_admission(
                         {std::nullopt, denial::engine_starting, engine_status::provisioning, 1}));
    show("under way", http::render_progress({false, view}));
    show("explain", http::render_explanation({view.record, "It is being woken.",
                                              engine_next{"wake", engine_status::running, noon,
                                                          noon, engine_status::failed},
                                              noon, engine_use::activity}));
    show("engines", http::render_engines({{view}, 1}));
    show("status", http::render_status({counts, fleet_health::degraded}));
    show("status", http::render_status({counts, fleet_health::ok, brake_status{noon, 1, 2}}));
    show("metrics", http::render_metrics({1, 2, 3, 4.5, 6, 7}));
    show("audit", http::render_audit({{sample_audit_entry()}, 11}));
    show("audit of an administrator",
         http::render_audit({{sample_audit_entry()}, 11}, http::viewer::admin));
    show("logs", http::render_logs("a line\n"));
    show("health",
         http::render_health({false, duration{1'000}, "memory", "lmdb", "away", "full"}, true));
    out << "header " << http::platform_key_header << ' ' << http::admin_key_header << ' '
        << http::request_id_header << ' ' << http::idempotency_key_header << '\n';
}

void list_store(std::ostream& out) {
    namespace lmdb = detail::lmdb;
    for (const auto name : lmdb::database_names) out << "database " << name << '\n';
    out << "file " << lmdb::data_file << ' ' << lmdb::kept_file << '\n';
    fleet_counts counts;
    counts.by_status = {1, 2, 3, 4, 5, 6};
    counts.total_provisions = 7;
    counts.total_destroys = 8;
    counts.reserved_memory_mb = 9;
    const auto show = [&out](std::string_view name, lmdb::record_writer record) {
        out << "record " << name << ' ' << to_hex(record.finish()) << '\n';
    };
    show("engine", lmdb::encode(sample_engine()));
    show("product", lmdb::encode(sample_product()));
    show("audit", lmdb::encode(sample_audit_entry()));
    show("counts", lmdb::encode(counts));
    show("state", lmdb::encode(lmdb::store_state{1, 2, 3, noon, duration{4}}));
    show("owner_hash", lmdb::encode(lmdb::owner_hash_key{{1, 2}, 64}));
    show("idempotency",
         lmdb::encode(idempotency_record{{id_of(0xCD), {1}}, {2}, id_of(0xAB), noon, "sealed", 3}));
}

void list_backends(std::ostream& out) {
    namespace subprocess = detail::subprocess;
    out << "file " << subprocess::identity_name << ' ' << subprocess::identity_draft_name << ' '
        << subprocess::log_name << ' ' << subprocess::old_log_name << '\n';
    const subprocess::data_copies copies{"engines"};
    out << "file " << copies.whole() << ' ' << copies.parts() << '\n';
    out << "lock " << subprocess::port_lock_name(9001) << '\n';
    subprocess::process_identity identity;
    identity.engine_id = id_of(0xAB);
    identity.boot_id = "boot";
    identity.generation = 3;
    identity.port = 9001;
    identity.owner = {id_of(0xCD), "ada"};
    out << "identity " << to_hex(subprocess::identity_head(identity)) << '\n';

    workload made{{id_of(0xAB), 3, 9001}, {id_of(0xCD), "ada"}, "v1", {}};
    made.key_hash.fill(4);
    made.product_slug = "demo";
    docker_options options;
    options.installation_id = "instance";
    options.catalog_path = "/catalog-on-host";
    const detail::docker::description description(options, made);
    namespace docker = detail::docker;
    docker::marks labels{options.installation_id, made.ref, made.owner};
    out << "volume " << docker::describe_volume(docker::volume_of(id_of(0xAB)), labels) << '\n';
    out << "container " << detail::docker::container_of(id_of(0xAB)) << ' '
        << description.of_container() << '\n';
    labels.copy = labels.restored = true;
    out << "copy " << docker::describe_volume(docker::copy_volume_of(id_of(0xAB)), labels) << '\n';
    for (const auto stage : {docker::reacher::copying, docker::reacher::copied,
                             docker::reacher::restoring, docker::reacher::refilling})
        out << "reacher " << docker::reacher::name_of(stage, id_of(0xAB)) << '\n';
}

void list_options(std::ostream& out) {
    for (const auto& row : server::option_table())
        out << "option " << row.name << ' ' << server::flag_of(row.name) << ' ' << row.placeholder
            << " \"" << row.fallback << "\"\n";
}

} // namespace

// ROUNDHOUSE_REFRESH_TABLE=1 writes the file anew. A changed line breaks somebody's client or
// store.
TEST_CASE("what is stored, sent and configured keeps its name") {
    const auto file = std::filesystem::path(__FILE__).parent_path() / "external_names.txt";
    std::ostringstream now;
    list_enumerations(now);
    list_errors(now);
    list_bodies(now);
    list_store(now);
    list_backends(now);
    list_options(now);
    if (std::getenv("ROUNDHOUSE_REFRESH_TABLE") != nullptr) std::ofstream(file) << now.str();
    std::ifstream pinned(file);
    std::istringstream actual(now.str());
    for (std::string want, got; std::getline(actual, got);) {
        std::getline(pinned, want);
        CHECK(got == want);
    }
    std::string left;
    CHECK_FALSE(std::getline(pinned, left));
}
