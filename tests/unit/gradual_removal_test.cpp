#include "../temporary_folder.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/gradual_removal.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

using namespace roundhouse_tests;
namespace rh = roundhouse;
namespace sub = rh::detail::subprocess;
namespace fs = std::filesystem;

namespace {

/// A removal that rests as often as it may, on a strand that it shares with others.
class one_removal {
public:
    template <class Strand, class Begin> void begin(const Strand& strand, Begin begin) {
        asio::co_spawn(strand, begin(removal_),
                       [this](const std::exception_ptr& failure, rh::result<void> outcome) {
                           ended = true;
                           succeeded = !failure && outcome.has_value();
                       });
    }

    bool ended = false;
    bool succeeded = false;

private:
    sub::gradual_removal removal_{std::chrono::seconds{0}};
};

void fill(const fs::path& folder, int files) {
    fs::create_directories(folder / "below");
    for (int i = 0; i < files; ++i) std::ofstream{folder / "below" / std::to_string(i)};
}

} // namespace

TEST_CASE("a removal of many files holds back neither one of a few nor other work of its threads") {
    const temporary_folder folder;
    const auto large = folder.path() / "large";
    const auto small = folder.path() / "small";
    fill(large, 1'000);
    fill(small, 3);
    asio::io_context context;
    const auto strand = asio::make_strand(context);
    one_removal first;
    one_removal second;
    const auto remove = [](const fs::path& path) {
        return [path](sub::gradual_removal& removal) { return removal.remove(path.string()); };
    };
    first.begin(strand, remove(large));
    second.begin(strand, remove(small));
    bool other_work = false;
    asio::post(context, [&] { other_work = true; });
    while (!second.ended && context.run_one() > 0) {
    }
    CHECK(second.succeeded);
    CHECK_FALSE(fs::exists(small));
    CHECK_FALSE(first.ended);
    CHECK(fs::exists(large));
    while (!other_work && context.run_one() > 0) {
    }
    CHECK_FALSE(first.ended);
    context.run();
    CHECK(first.succeeded);
    CHECK_FALSE(fs::exists(large));
}

TEST_CASE("of a folder that users share, what one of them has there is removed") {
    const temporary_folder folder;
    std::ofstream{folder.path() / "file"};
    fill(folder.path() / "folder", 100);
    asio::io_context context;
    const auto remove_all_of = [&](::uid_t user) {
        one_removal removal;
        removal.begin(context.get_executor(), [&](sub::gradual_removal& how) {
            return how.remove_all_of(user, folder.path().string());
        });
        context.restart();
        context.run();
        return removal.succeeded;
    };
    CHECK(remove_all_of(::geteuid() + 1));
    CHECK(fs::exists(folder.path() / "file"));
    CHECK(fs::exists(folder.path() / "folder" / "below" / "99"));
    CHECK(remove_all_of(::geteuid()));
    CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a removal that is cancelled ends, and the next one goes on") {
    const temporary_folder folder;
    const auto path = folder.path() / "large";
    fill(path, 1'000);
    asio::io_context context;
    asio::cancellation_signal cancel;
    sub::gradual_removal removal{std::chrono::seconds{0}};
    bool cancelled = false;
    asio::co_spawn(context, removal.remove(path.string()),
                   asio::bind_cancellation_slot(
                       cancel.slot(), [&](const std::exception_ptr& failure, rh::result<void>) {
                           cancelled = failure != nullptr;
                       }));
    asio::post(context, [&] { cancel.emit(asio::cancellation_type::terminal); });
    context.run();
    CHECK(cancelled);
    CHECK(fs::exists(path));
    one_removal next;
    next.begin(context.get_executor(),
               [&](sub::gradual_removal& how) { return how.remove(path.string()); });
    context.restart();
    context.run();
    CHECK(next.succeeded);
    CHECK_FALSE(fs::exists(path));
}
