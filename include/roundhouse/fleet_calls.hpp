#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/text_stream.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The calls that a fleet takes from products and operators. An orchestrator in this process
/// implements them; so can whatever forwards them to another process. `http::api` and users of the
/// SDK call it.
///
/// All members may be called from any thread and do not block. A completion is called once: from
/// inside the call if the answer is known at once, else from the executor. A call whose completion
/// is dropped goes on. `user_id` is checked as the HTTP API does (SPEC §1).
class fleet_calls {
public:
    fleet_calls() = default;
    fleet_calls(const fleet_calls&) = delete;
    fleet_calls& operator=(const fleet_calls&) = delete;
    virtual ~fleet_calls() = default;

    /// Where handlers run that name no executor of their own.
    [[nodiscard]] virtual asio::any_io_executor executor() const = 0;
    /// While this is true, every call but `health` fails with `errc::starting`.
    [[nodiscard]] virtual bool starting() const noexcept = 0;
    [[nodiscard]] virtual orchestrator_health health() const = 0;

    // Products. `actor` is that of the audit row: `admin_actor`, or that and the name of one.

    /// Registers a product, and makes its platform key. Fails with `errc::invalid_request` if a name
    /// or a member of the policy is none (`core::names`, `core::check_policy`).
    virtual void register_product(std::string slug, std::string display_name, policy limits,
                                  std::string actor, completion<registration> done) = 0;
    /// The same with a key that the caller has made (`crypto::make_platform_key`).
    virtual void register_product(std::string slug, std::string display_name, policy limits,
                                  std::string platform_key, std::string actor,
                                  completion<registration> done) = 0;
    /// The same once only: within 24 hours a call with the same key and request gets the answer of
    /// the first, and makes nothing. A failure leaves nothing, and the call can be repeated. The keys
    /// are those of all administrators, apart from the products'. Fails with
    /// `errc::idempotency_mismatch` if the key stands for another request, and with
    /// `errc::product_not_found` if the product that it has made is gone.
    virtual void register_product_once(std::string slug, std::string display_name, policy limits,
                                       idempotent_registration once, std::string actor,
                                       completion<std::string> done) = 0;
    /// The same, answered with the registration as it was.
    virtual void register_product_once(std::string slug, std::string display_name, policy limits,
                                       std::string key, std::string actor,
                                       completion<registration> done) = 0;
    /// Sees to it that a product has the key that an operator has configured for it
    /// (`crypto::make_platform_key`). Registers the product, with its slug as its name, if there is
    /// none. Else the key takes the place of those that were configured before, which end after
    /// `overlap`, 0 to `core::longest_key_overlap`. Other keys stay, and where no key in force was
    /// configured nothing is done (`configured_key::not_taken`). Repeated, it changes nothing more.
    /// Fails with `errc::invalid_request` if the product has too many keys or another product has
    /// this one.
    virtual void configure_platform_key(std::string slug, std::string platform_key,
                                        duration overlap, completion<configured_key> done) = 0;
    /// Replaces a product's whole policy, effective on the next call, and for boots that wait at once.
    /// Fails with `errc::invalid_request` as a registration does.
    virtual void set_policy(std::string id_or_slug, policy limits, std::string actor,
                            completion<policy> done) = 0;
    /// Replaces all that the engines of a product get where they have nothing of their own, and answers
    /// with what is stored. Fails with `errc::invalid_request` if `core::check_options` has a complaint,
    /// which is about `defaults.NAME`, and with `errc::product_not_found`.
    virtual void set_defaults(std::string id_or_slug, provision_options given, std::string actor,
                              completion<defaults_ptr> done) = 0;
    /// Changes what a product is called, and answers with the product as it is then. Fails with
    /// `errc::product_not_found`, and with `errc::invalid_request` as a registration does.
    virtual void update_product(std::string id_or_slug, product_changes changes, std::string actor,
                                completion<product_view> done) = 0;
    /// Gives a product a further platform key, and ends the others after `overlap`, 0 to
    /// `core::longest_key_overlap`; without an overlap before it answers. Fails with
    /// `errc::product_not_found`, and with `errc::invalid_request` if the product has too many keys.
    virtual void rotate_platform_key(std::string id_or_slug, duration overlap, std::string actor,
                                     completion<rotated_platform_key> done) = 0;
    /// Ends a platform key of a product before it answers. Fails with `errc::product_not_found` or
    /// `errc::platform_key_not_found`.
    virtual void delete_platform_key(std::string id_or_slug, std::uint64_t key_id,
                                     std::string actor, completion<void> done) = 0;
    /// Deletes a product. If it has engines, fails with `errc::product_not_empty`, or with `cascade`
    /// ends its keys and destroys the engines in the background, which goes on after a restart. Until
    /// the product is gone changes of it fail with `errc::product_deleting`, its calls too but
    /// `destroy` and those that only read, and a further deletion answers how many engines are left.
    /// Fails with `errc::product_not_found`.
    virtual void delete_product(std::string id_or_slug, bool cascade, std::string actor,
                                completion<product_deletion> done) = 0;
    /// A product with its keys and the numbers of its engines, or `errc::product_not_found`.
    virtual void describe_product(std::string id_or_slug, completion<product_view> done) = 0;
    /// All products, in the order of their slugs.
    virtual void list_products(product_query query, completion<product_page> done) = 0;
    /// Null if there is no such product.
    virtual void find_product(std::string id_or_slug, completion<product_ptr> done) = 0;
    /// The product that a platform key belongs to, or `errc::invalid_platform_key`, also if the key
    /// has expired. Only the key's hash is compared. The use of the key is noted.
    [[nodiscard]] virtual result<product_ptr> authenticate(std::string_view platform_key) const = 0;

    /// The product as it is now, whatever keys it has; for holders of an earlier version, which may
    /// have an old policy. Fails with `errc::product_not_found` if it is gone.
    [[nodiscard]] virtual result<product_ptr> current(const product_ptr& product) const = 0;
    /// The product for the calls of an administrator: `actor` (`admin`, or `admin:` and a name) is
    /// the actor of the audit rows of what is done with it, in the place of the product. Its policy
    /// holds for them too. Fails with `errc::product_not_found`.
    [[nodiscard]] virtual result<product_ptr> acting_for(std::string_view id_or_slug,
                                                         std::string actor) const = 0;

    // Lifecycle

    /// Creates the user's engine with these options and boots it; done once it answers healthy. Fails
    /// with `errc::invalid_request` if a member of the options is none (`core::check_options`), or is
    /// a ceiling that the backend cannot hold.
    virtual void provision(product_ptr product, std::string user_id, provision_options options,
                           completion<engine_view> done) = 0;
    /// The same once only: within 24 hours a call with the same key and request gets the answer of
    /// the first, of success or `errc::boot_timeout`, and makes nothing. Other failures leave
    /// nothing, and the call can be repeated. Fails with `errc::idempotency_mismatch` if the key
    /// stands for another request, and with `errc::engine_not_found` if the engine that it has made
    /// was destroyed before it was answered.
    virtual void provision_once(product_ptr product, std::string user_id, provision_options options,
                                idempotent_call once, completion<std::string> done) = 0;
    /// The same, answered with the engine. What is kept are the engine's id and key, or the failure:
    /// a later call gets the engine as it is then, with the key of the first answer, or
    /// `errc::engine_not_found` if it is gone.
    virtual void provision_once(product_ptr product, std::string user_id, provision_options options,
                                std::string key, completion<engine_view> done) = 0;
    /// Ends the user's engine and removes its data; answers with its id.
    virtual void destroy(product_ptr product, std::string user_id, completion<uuid> done) = 0;
    /// Boots or wakes the user's engine; done once it answers healthy. Its key is empty in the answer
    /// if no master key opens it.
    virtual void start(product_ptr product, std::string user_id, completion<engine_view> done) = 0;
    /// Stops the user's engine. `force` also stops one that sleeps, boots or has failed.
    virtual void stop(product_ptr product, std::string user_id, bool force,
                      completion<void> done) = 0;
    /// Puts the user's running engine to sleep, paused or without its workload. One that sleeps paused
    /// is put to sleep without it. Fails with `errc::engine_busy` if the engine is pinned, has a busy
    /// lease, or is in use. Its key is empty in the answer.
    virtual void sleep(product_ptr product, std::string user_id, sleep_mode mode,
                       completion<engine_view> done) = 0;
    /// Wakes the user's sleeping engine: its workload is resumed, or booted if it has none; done once
    /// it answers healthy. Its key is empty in the answer if no master key opens it.
    virtual void wake(product_ptr product, std::string user_id, completion<engine_view> done) = 0;
    /// Gives the user's running engine another version on its data, with its port and key: the old one
    /// is ended, and the new one boots and is watched. If that fails the old one boots again, on the
    /// data as it was if that was copied, and the call fails with `errc::upgrade_failed`, whose details
    /// tell the cause. One that is stopped, sleeps or has failed gets the version with its next boot.
    /// The key is empty in the answer if no master key opens it.
    virtual void upgrade(product_ptr product, std::string user_id, upgrade_options options,
                         completion<engine_view> done) = 0;
    /// Gives the user's engine a new key; answers with it once only that key opens the engine.
    virtual void rotate_key(product_ptr product, std::string user_id,
                            completion<std::string> done) = 0;

    /// Makes a call about the user's engine, and waits for its end for at most `span`, 0 to
    /// `longest_chosen_wait`. It is answered with the engine when it is done, else after that time,
    /// or once it has been accepted if that is later: then `call_progress::done` is false, and the
    /// call goes on. Until then it fails as the call itself does.
    virtual void begin(product_ptr product, std::string user_id, engine_call_variant what,
                       duration span, completion<call_progress> done) = 0;

    /// Changes the settings of the user's engine: of sleep and metadata at once, others from its next
    /// boot on, which `options.restart` makes the call wait for. Fails with
    /// `errc::precondition_failed` if the settings have another revision than
    /// `options.if_revision`, and with `errc::invalid_request` as `provision` does. Its key is empty
    /// in the answer if no master key opens it.
    virtual void change_settings(product_ptr product, std::string user_id, settings_change wanted,
                                 change_options options, completion<engine_view> done) = 0;

    // Discovery

    /// Admits a request of a user if that takes no waiting: takes its place in the rate limit, and
    /// answers, or not. If it does not answer, `admit` has to follow, which does not count against
    /// the limit again.
    [[nodiscard]] virtual std::optional<result<admission>>
    try_admit(const product_ptr& product, std::string_view user_id,
              const admit_options& options) = 0;
    /// Admits a request of a user, after whatever has to be waited for, or `options.wait`.
    virtual void admit(product_ptr product, std::string user_id, admit_options options,
                       completion<admission> done) = 0;
    /// What is left now of the rate at which the product may admit; nothing if its policy sets none.
    /// It takes no place in it.
    [[nodiscard]] virtual std::optional<rate_limit_status>
    rate_limit(const product_ptr& product) = 0;
    /// Notes that the user's engine is in use, and with `busy_for` keeps it awake for a while (at
    /// most a day). Answers when it will sleep if nothing more happens; nothing if it does not run
    /// or never sleeps.
    virtual void note_activity(product_ptr product, std::string user_id,
                               std::optional<duration> busy_for,
                               completion<std::optional<instant>> done) = 0;
    /// Waits until the user's engine is in one of these states, for at most `span`, 0 to
    /// `longest_chosen_wait`, and answers with the engine; `call_progress::done` is false if the time
    /// has run out first. Fails with `errc::engine_not_found` if there is no engine, or not any more,
    /// and with `errc::overloaded` if too many calls wait.
    virtual void wait_for(product_ptr product, std::string user_id, engine_statuses wanted,
                          duration span, completion<call_progress> done) = 0;
    /// The user's engine as it is. The failure where there is none has details if its creation was
    /// undone in the last ten minutes.
    virtual void find(product_ptr product, std::string user_id, completion<engine_view> done) = 0;
    /// Why the user's engine is in its state, and what happens to it next.
    virtual void explain(product_ptr product, std::string user_id,
                         completion<engine_explanation> done) = 0;
    /// The product's engine with this id.
    virtual void find_by_id(product_ptr product, uuid engine_id, completion<engine_view> done) = 0;
    /// The engines of several users, in the order of the users, without their keys. Users that have
    /// none are left out.
    virtual void look_up(product_ptr product, std::vector<std::string> user_ids,
                         completion<std::vector<engine_view>> done) = 0;

    // Fleet

    virtual void list(engine_query query, completion<engine_view_page> done) = 0;
    virtual void status(product_ptr product, completion<fleet_status> done) = 0;
    virtual void metrics(product_ptr product, completion<fleet_metrics> done) = 0;
    /// The sums over all products, with `fleet_status::brakes` in the place of `brake`.
    virtual void status_of_all(completion<fleet_status> done) = 0;
    /// The sums over all products; `avg_boot_ms` is that of all boots.
    virtual void metrics_of_all(completion<fleet_metrics> done) = 0;
    /// The last `tail` lines of the engine's output.
    virtual void logs(product_ptr product, std::string user_id, std::size_t tail,
                      completion<std::string> done) = 0;
    /// Opens the engine's output, to be read in pieces and, with `query.follow`, as it is written.
    virtual void stream_logs(product_ptr product, std::string user_id, log_query query,
                             completion<text_stream_ptr> done) = 0;
    /// Audit rows of a product or of all, with every denial counted up to now.
    virtual void audit(audit_query query, completion<audit_page> done) = 0;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
