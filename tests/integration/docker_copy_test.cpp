#include "catch.hpp"
#include "docker_answers.hpp"

#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/engine_copies.hpp>

#include <string>
#include <string_view>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
namespace docker = roundhouse::detail::docker;

namespace {

std::string copy_volume_of(const rh::workload& w) {
    return docker::copy_volume_of(w.ref.engine_id);
}

/// A backend with one engine, whose data the daemon has as a text.
class docker_copies : public docker_answers {
public:
    const rh::workload w = engine();

    void boot_and_stop(const std::string& data) {
        REQUIRE(create(w));
        daemon.put_data(volume_of(w), data);
        REQUIRE(stop(w.ref));
    }
    void must_copy() {
        const auto copied = copy_data(w.ref);
        REQUIRE(copied);
        CHECK(*copied);
    }
    [[nodiscard]] bool has(std::string_view stage) const {
        return daemon.has_container(docker::reacher::name_of(stage, w.ref.engine_id));
    }
    [[nodiscard]] bool has_nothing_of_a_copy() const {
        using namespace docker::reacher;
        return !has(copying) && !has(copied) && !has(restoring) && !has(refilling) &&
               !daemon.has_volume(copy_volume_of(w));
    }
};

} // namespace

TEST_CASE_METHOD(docker_copies, "a copy streams from the engine's container to a second volume") {
    const std::string data(200'000, 'd');
    boot_and_stop(data);
    must_copy();
    CHECK(daemon.data_of(copy_volume_of(w)) == data);
    CHECK(has(docker::reacher::copied));
    CHECK_FALSE(has(docker::reacher::copying));
    CHECK(daemon.count("POST", "/containers/*/start") == 1); // of the engine alone
    const auto found = list();
    REQUIRE(found);
    CHECK(found->size() == 1);
    CHECK(has(docker::reacher::copied));
}

TEST_CASE_METHOD(docker_copies, "a copy that is put back takes the place of the volume") {
    boot_and_stop("old");
    must_copy();
    daemon.put_data(volume_of(w), "new");
    REQUIRE(restore_data(w.ref));
    CHECK(daemon.data_of(volume_of(w)) == "old");
    CHECK(has_nothing_of_a_copy());
    CHECK_FALSE(daemon.has_container(name_of(w)));
    daemon.put_data(volume_of(w), "newer");
    REQUIRE(restore_data(w.ref));
    CHECK(daemon.data_of(volume_of(w)) == "newer");
    REQUIRE(create(w));
    CHECK(daemon.data_of(volume_of(w)) == "newer");
}

TEST_CASE_METHOD(docker_copies, "a copy that exceeds its bound is removed") {
    boot_and_stop(std::string(200'000, 'd'));
    must_copy();
    const auto copied = copy_data(w.ref, 100'000);
    REQUIRE(copied);
    CHECK_FALSE(*copied);
    CHECK(has_nothing_of_a_copy());
}

TEST_CASE_METHOD(docker_copies, "a copying that the daemon refuses leaves nothing") {
    boot_and_stop("old");
    daemon.once("PUT", "/containers/*/archive",
                recorded_daemon::replies(500, R"({"message":"no space left on device"})"));
    CHECK_THAT(failure_of(copy_data(w.ref)), Contains("no space left on device"));
    CHECK(has_nothing_of_a_copy());
}

TEST_CASE_METHOD(docker_copies, "an engine that runs is neither copied nor restored") {
    boot_and_stop("old");
    must_copy();
    REQUIRE(create(w));
    daemon.put_data(volume_of(w), "new");
    CHECK_THAT(failure_of(copy_data(w.ref)), Contains("still runs"));
    CHECK_THAT(failure_of(restore_data(w.ref)), Contains("still runs"));
    CHECK(daemon.data_of(volume_of(w)) == "new");
    CHECK(has(docker::reacher::copied));
}

TEST_CASE_METHOD(docker_copies, "a restoring that was interrupted is ended by what comes next") {
    boot_and_stop("old");
    must_copy();
    daemon.put_data(volume_of(w), "new");
    daemon.once("PUT", "/containers/*/archive",
                recorded_daemon::replies(500, R"({"message":"it is tired"})"));
    CHECK_THAT(failure_of(restore_data(w.ref)), Contains("it is tired"));
    CHECK(has(docker::reacher::restoring));

    SECTION("a repeat") { REQUIRE(restore_data(w.ref)); }
    SECTION("a create") {
        REQUIRE(create(w));
        CHECK(daemon.container_named(name_of(w)).status == "running");
    }
    SECTION("a create after the volume was lost too") {
        daemon.remove_container(
            docker::reacher::name_of(docker::reacher::refilling, w.ref.engine_id));
        daemon.forget_volume(volume_of(w));
        REQUIRE(create(w));
    }
    SECTION("a drop of the copy") { REQUIRE(drop_copy(w.ref)); }
    CHECK(daemon.data_of(volume_of(w)) == "old");
    CHECK(has_nothing_of_a_copy());
}

TEST_CASE_METHOD(docker_copies, "what an interrupted copying left is removed by the next list") {
    boot_and_stop("old");
    auto labels = labels_of(w);
    labels.pop_back();
    labels += R"(,"dev.roundhouse.copy":"true"})";
    const auto name = docker::reacher::name_of(docker::reacher::copying, w.ref.engine_id);
    daemon.put_volume(copy_volume_of(w), labels);
    daemon.put_container(name, {.id = {}, .labels = labels, .volume = copy_volume_of(w)});
    const auto found = list();
    REQUIRE(found);
    CHECK(found->size() == 1);
    CHECK_FALSE(daemon.has_container(name));
    REQUIRE(restore_data(w.ref)); // of a copy that is not whole
    CHECK(daemon.data_of(volume_of(w)) == "old");
    REQUIRE(drop_copy(w.ref));
    CHECK(has_nothing_of_a_copy());
}

TEST_CASE_METHOD(docker_copies, "a destroy removes the copy with the data") {
    boot_and_stop("old");
    must_copy();
    REQUIRE(destroy(w.ref));
    CHECK(has_nothing_of_a_copy());
    CHECK_FALSE(daemon.has_volume(volume_of(w)));
}
