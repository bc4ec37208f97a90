#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/fleet_calls.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/shell/brakes.hpp>
#include <roundhouse/shell/denial_log.hpp>
#include <roundhouse/shell/housekeeping.hpp>
#include <roundhouse/shell/idempotent_calls.hpp>
#include <roundhouse/shell/log_reader.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/shell/metrics_book.hpp>
#include <roundhouse/shell/open_log_streams.hpp>
#include <roundhouse/shell/platform_key_uses.hpp>
#include <roundhouse/shell/prober.hpp>
#include <roundhouse/shell/rate_gate.hpp>
#include <roundhouse/shell/reconciler.hpp>
#include <roundhouse/shell/recovery.hpp>
#include <roundhouse/shell/running_engines.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/shell/state_waiters.hpp>

#include <asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What one orchestrator holds. Shared by the orchestrator and the work that it has under way; the
/// members know each other in the order of their declaration, and reach the reconciler through
/// `engine_inbox`.
class orchestrator_state final : public fleet_calls,
                                 public engine_inbox,
                                 public std::enable_shared_from_this<orchestrator_state> {
public:
    [[nodiscard]] static std::shared_ptr<orchestrator_state> make(orchestrator_parts parts);

    explicit orchestrator_state(orchestrator_parts parts)
        : services(std::move(parts)),
          idempotent(services.settings.max_waiting_per_engine),
          brakes(services),
          log_streams(std::make_shared<open_log_streams>(services.settings)),
          prober(services, running, brakes, *this),
          reconciler(services, running, brakes, rolling_metrics, prober, *this),
          recovery(services, reconciler, prober, rolling_metrics),
          denials(services),
          housekeeping(services, running, denials, brakes),
          began(services.steady_now()) {}

    void enqueue(const engine_owner& owner, mailbox_input input) override {
        reconciler.enqueue(owner, std::move(input));
    }
    void close();

    /// Goes on with the deletions that the recovery has found. To be called once, after it.
    void resume_deletions();

    /// Stores that everything that runs is to be booted at the next start, then stops it.
    asio::awaitable<void> stop_all(completion<void> done);

    // fleet_calls

    [[nodiscard]] asio::any_io_executor executor() const override { return services.executor; }
    [[nodiscard]] bool starting() const noexcept override {
        return !recovered.load(std::memory_order_relaxed);
    }
    [[nodiscard]] orchestrator_health health() const override;
    void register_product(std::string slug, std::string display_name, policy limits,
                          std::string actor, completion<registration> done) override;
    void register_product(std::string slug, std::string display_name, policy limits,
                          std::string platform_key, std::string actor,
                          completion<registration> done) override;
    void register_product_once(std::string slug, std::string display_name, policy limits,
                               idempotent_registration once, std::string actor,
                               completion<std::string> done) override;
    void register_product_once(std::string slug, std::string display_name, policy limits,
                               std::string key, std::string actor,
                               completion<registration> done) override;
    void configure_platform_key(std::string slug, std::string platform_key, duration overlap,
                                completion<configured_key> done) override;
    void set_policy(std::string id_or_slug, policy limits, std::string actor,
                    completion<policy> done) override;
    void set_defaults(std::string id_or_slug, provision_options given, std::string actor,
                      completion<defaults_ptr> done) override;
    void update_product(std::string id_or_slug, product_changes changes, std::string actor,
                        completion<product_view> done) override;
    void rotate_platform_key(std::string id_or_slug, duration overlap, std::string actor,
                             completion<rotated_platform_key> done) override;
    void delete_platform_key(std::string id_or_slug, std::uint64_t key_id, std::string actor,
                             completion<void> done) override;
    void delete_product(std::string id_or_slug, bool cascade, std::string actor,
                        completion<product_deletion> done) override;
    void describe_product(std::string id_or_slug, completion<product_view> done) override;
    void list_products(product_query query, completion<product_page> done) override;
    void find_product(std::string id_or_slug, completion<product_ptr> done) override;
    [[nodiscard]] result<product_ptr> authenticate(std::string_view platform_key) const override;
    [[nodiscard]] result<product_ptr> current(const product_ptr& product) const override;
    [[nodiscard]] result<product_ptr> acting_for(std::string_view id_or_slug,
                                                 std::string actor) const override;
    void provision(product_ptr product, std::string user_id, provision_options options,
                   completion<engine_view> done) override;
    void provision_once(product_ptr product, std::string user_id, provision_options options,
                        idempotent_call once, completion<std::string> done) override;
    void provision_once(product_ptr product, std::string user_id, provision_options options,
                        std::string key, completion<engine_view> done) override;
    void destroy(product_ptr product, std::string user_id, completion<uuid> done) override;
    void start(product_ptr product, std::string user_id, completion<engine_view> done) override;
    void stop(product_ptr product, std::string user_id, bool force, completion<void> done) override;
    void sleep(product_ptr product, std::string user_id, sleep_mode mode,
               completion<engine_view> done) override;
    void wake(product_ptr product, std::string user_id, completion<engine_view> done) override;
    void rotate_key(product_ptr product, std::string user_id,
                    completion<std::string> done) override;
    void change_settings(product_ptr product, std::string user_id, settings_change wanted,
                         change_options options, completion<engine_view> done) override;
    void upgrade(product_ptr product, std::string user_id, upgrade_options options,
                 completion<engine_view> done) override;
    [[nodiscard]] std::optional<result<admission>> try_admit(const product_ptr& product,
                                                             std::string_view user_id,
                                                             const admit_options& options) override;
    void admit(product_ptr product, std::string user_id, admit_options options,
               completion<admission> done) override;
    [[nodiscard]] std::optional<rate_limit_status> rate_limit(const product_ptr& product) override;
    void note_activity(product_ptr product, std::string user_id, std::optional<duration> busy_for,
                       completion<std::optional<instant>> done) override;
    void find(product_ptr product, std::string user_id, completion<engine_view> done) override;
    void explain(product_ptr product, std::string user_id,
                 completion<engine_explanation> done) override;
    void begin(product_ptr product, std::string user_id, engine_call_variant what, duration span,
               completion<call_progress> done) override;
    void wait_for(product_ptr product, std::string user_id, engine_statuses wanted, duration span,
                  completion<call_progress> done) override;
    void find_by_id(product_ptr product, uuid engine_id, completion<engine_view> done) override;
    void look_up(product_ptr product, std::vector<std::string> user_ids,
                 completion<std::vector<engine_view>> done) override;
    void list(engine_query query, completion<engine_view_page> done) override;
    void status(product_ptr product, completion<fleet_status> done) override;
    void metrics(product_ptr product, completion<fleet_metrics> done) override;
    void status_of_all(completion<fleet_status> done) override;
    void metrics_of_all(completion<fleet_metrics> done) override;
    void logs(product_ptr product, std::string user_id, std::size_t tail,
              completion<std::string> done) override;
    void stream_logs(product_ptr product, std::string user_id, log_query query,
                     completion<text_stream_ptr> done) override;
    void audit(audit_query query, completion<audit_page> done) override;

    detail::services services;
    running_engines running;
    metrics_book rolling_metrics;
    rate_gate rates;
    mutable platform_key_uses key_uses;
    detail::idempotent_calls idempotent;
    detail::brakes brakes;
    const std::shared_ptr<open_log_streams> log_streams;
    detail::prober prober;
    detail::reconciler reconciler;
    detail::recovery recovery;
    denial_log denials;
    detail::housekeeping housekeeping;
    const duration began; ///< Steady time.

    std::atomic<bool> recovered = false;
    std::atomic<bool> draining = false; ///< New calls are refused.
    std::atomic<bool> closed = false;   ///< The orchestrator is gone.

private:
    /// Makes what a caller gets from the record that answers its call.
    template <class T> using make_answer = std::function<result<T>(const engine_ptr&)>;

    /// Why no call is taken at present; nothing if calls are taken.
    [[nodiscard]] std::optional<error> refusal() const;
    [[nodiscard]] std::optional<error> refusal(std::string_view user_id) const;
    /// Why a policy is not taken; nothing if it is.
    [[nodiscard]] static std::optional<error> refusal(const policy& limits);
    [[nodiscard]] std::optional<error> refusal(const provision_options& options) const;
    /// Why a caller cannot choose to wait for so long; nothing if it can.
    [[nodiscard]] static std::optional<error> refusal(duration wait);
    [[nodiscard]] std::shared_ptr<const engine_settings> sealed(provision_options options) const;
    /// The text in which these variables are sealed in a product's defaults, or were in those that are
    /// still known: equal variables have equal texts, by which `core::pending_of` compares them.
    [[nodiscard]] std::optional<std::string> sealed_before(const product_defaults& before,
                                                           const named_texts& env) const;
    /// Puts other defaults into a product's record; what is changed, for the audit row.
    [[nodiscard]] std::string replace_defaults(product& record,
                                               const provision_options& given) const;
    void learn_defaults(const std::string& id_or_slug);
    [[nodiscard]] waiting_call::creation creation_of(provision_options options) const;
    [[nodiscard]] result<named_texts> env_for(const settings_change& wanted,
                                              const engine_record& engine) const;
    [[nodiscard]] result<core::call::change_settings>
    change_of(const settings_change& wanted, const engine_record& engine, const product& of) const;
    asio::awaitable<void> replace_settings(product_ptr product, std::string user_id,
                                           settings_change wanted, change_options options,
                                           completion<engine_view> done);
    /// That there is none, and why if its creation was undone lately.
    [[nodiscard]] error no_engine(const engine_owner& owner) const;
    [[nodiscard]] static error changed_meanwhile(const std::string& user_id,
                                                 std::uint64_t revision);
    void enqueue_change(product_ptr product, std::string user_id, core::call::change_settings call,
                        completion<engine_view> done);
    [[nodiscard]] result<waiting_call> call_of(engine_call::provision what);
    [[nodiscard]] static waiting_call call_of(engine_call::start what);
    [[nodiscard]] static waiting_call call_of(engine_call::stop what);
    [[nodiscard]] static waiting_call call_of(engine_call::sleep what);
    [[nodiscard]] static waiting_call call_of(engine_call::wake what);
    [[nodiscard]] static waiting_call call_of(engine_call::upgrade what);
    [[nodiscard]] waiting_call rotation(const std::string& key);
    /// Makes what a caller is told of an engine, and of whether its call is done.
    using make_progress = std::function<result<call_progress>(const engine_ptr&, bool)>;
    [[nodiscard]] make_progress progress_of(product_ptr product, std::string key, bool shows_key);
    /// Sends a call through its engine's mailbox whose caller waits until then (steady time).
    void enqueue_bounded(product_ptr product, std::string user_id, waiting_call call,
                         duration until, make_progress progress, completion<call_progress> done);
    /// Lets an admit be answered after a while, whatever it waits for.
    void bound(waiting_call& call, duration wait, completion<admission> done);
    [[nodiscard]] admission starting_admission(const engine_record& engine) const;
    void end_wait(const product_ptr& product, const engine_owner& owner, engine_statuses wanted,
                  const state_wait_end& how, const completion<call_progress>& done);
    /// Sends a call through its engine's mailbox.
    template <class T>
    void through_mailbox(product_ptr product, std::string user_id, waiting_call call,
                         make_answer<T> answer, completion<T> done);
    /// What makes the engine of a call that is done once, and answers the call.
    struct engine_once {
        product_ptr product;
        std::string user_id;
        provision_options options;
        idempotent_call once;
        idempotency_id id;
    };
    asio::awaitable<void> make_once(engine_once wanted);
    asio::awaitable<result<std::string>> answer_once(engine_once wanted);
    void provision_recorded(engine_once wanted, const idempotency_ptr& kept,
                            completion<engine_view> done);
    asio::awaitable<result<idempotency_ptr>> read_kept(idempotency_id id);
    /// Whether the engine of a record was made and destroyed again, and not just undone.
    asio::awaitable<result<bool>> was_destroyed(idempotency_ptr kept);
    asio::awaitable<void> keep_answer(idempotency_id id, sha256_digest request, std::string answer);
    /// A product's record as it is registered with this key.
    [[nodiscard]] result<product> new_product(std::string slug, std::string display_name,
                                              policy limits, const std::string& platform_key) const;
    asio::awaitable<void> register_record(product record, std::string platform_key,
                                          std::string actor, completion<registration> done);
    asio::awaitable<void> install_key(std::string slug, std::string platform_key, duration overlap,
                                      completion<configured_key> done);
    void register_configured(std::string slug, std::string platform_key,
                             completion<configured_key> done);
    void change_configured_key(std::string slug, const sha256_digest& hash, duration overlap,
                               completion<configured_key> done);
    /// What makes the product of a call that is done once, and answers the call.
    struct registration_once {
        product record;
        std::string platform_key;
        idempotent_registration once;
        idempotency_id id;
        std::string actor;
    };
    asio::awaitable<void> register_once(registration_once wanted);
    asio::awaitable<result<std::string>> answer_registration(registration_once wanted);
    /// The answer that was kept, if the product that it tells of is still there.
    asio::awaitable<result<std::string>> kept_registration(idempotency_ptr kept);
    asio::awaitable<result<std::string>> make_registration(registration_once wanted);
    /// Changes the record of a product, and makes the rest of the audit row. If it fails, nothing is
    /// changed.
    using product_change = std::function<result<void>(product&, audit_entry&)>;
    asio::awaitable<void> change_product(std::string id_or_slug, std::string actor,
                                         product_change change, completion<product> done);
    /// Adds or replaces a product, with its audit row and the record of the call if it has a key.
    asio::awaitable<result<void>> commit_product(product record, audit_entry row,
                                                 std::optional<idempotency_record> once = {});
    asio::awaitable<void> decide_deletion(std::string id_or_slug, bool cascade, std::string actor,
                                          completion<product_deletion> done);
    asio::awaitable<result<std::uint64_t>> count_engines(uuid product);
    asio::awaitable<result<void>> commit_deletion(product record, std::uint64_t engines,
                                                  std::string actor);
    asio::awaitable<void> learn_deletion(product before);
    /// Begins to destroy the engines of a product that is being deleted, unless that goes on already.
    void begin_destruction(const product_ptr& product);
    asio::awaitable<void> run_deletion(product_ptr product);
    asio::awaitable<bool> destroy_engines(product_ptr product);
    class engines_to_destroy;
    asio::awaitable<void> destroy_some(std::shared_ptr<engines_to_destroy> engines);
    asio::awaitable<bool> erase_deleted(product_ptr product);
    /// Forgets what is kept in memory of a product that is gone.
    void forget_product(const product& gone);
    void describe(product_ptr product, completion<product_view> done);
    [[nodiscard]] std::vector<platform_key_view> keys_of(const product& product) const;
    /// A row about what an administrator does to a product, without its action.
    [[nodiscard]] audit_entry row_by_admin(const product& product, std::string actor) const;
    /// The record of a user's engine; `errc::engine_not_found` if there is none.
    void find_record(const product_ptr& product, const std::string& user_id,
                     completion<engine_ptr> done) const;
    [[nodiscard]] std::optional<error> refusal(const product& product,
                                               const upgrade_options& options) const;
    asio::awaitable<result<std::string>> read_logs(engine_ptr engine, std::size_t tail);
    asio::awaitable<result<log_source_ptr>> open_logs(engine_ptr engine, log_query query);
    void stop_workloads(const std::vector<engine_ptr>& engines, completion<void> done);
    asio::awaitable<result<void>> stop_workload(engine_ptr engine);

    /// The answer to an admit that has been through the mailbox.
    [[nodiscard]] result<admission> admission_of(const product& product,
                                                 const result<engine_ptr>& outcome);
    /// Admits to an engine and notes the use, if what to answer is known without its record.
    [[nodiscard]] std::optional<admitted_engine> use_known(const running_engine_owner& owner,
                                                           duration steady_now) const;
    /// What an admit to an engine answers by its record.
    [[nodiscard]] result<admitted_engine> admitted(const engine_record& engine) const;
    /// Denies an admit to a user who has no engine, or to this one.
    [[nodiscard]] result<admission> deny(const product& product, denial reason);
    [[nodiscard]] result<admission> deny(const product& product, denial reason,
                                         const engine_record& engine, const core::context& context);
    /// What a decision about an engine would go by now, as far as that is known outside its mailbox.
    [[nodiscard]] core::context context_of(const engine_record& engine) const;
    /// An engine as its product sees it.
    [[nodiscard]] result<engine_view> view(engine_ptr engine, bool with_key,
                                           const product& of) const;
    /// The same with its key, if a master key opens that.
    [[nodiscard]] result<engine_view> started_view(const engine_ptr& engine,
                                                   const product& of) const;
    [[nodiscard]] result<engine_view_page> view(const engine_page& page) const;
    [[nodiscard]] fleet_status status_of(const fleet_counts& counts) const;
    class met_products;
    /// Adds the slugs of the products that rows are about.
    [[nodiscard]] result<void> name_products(audit_page& page) const;
    [[nodiscard]] engine_explanation explained(engine_ptr engine, const product& of) const;
    /// When a running engine will be put to sleep if it is not used; nothing if it does not run or
    /// never sleeps.
    [[nodiscard]] std::optional<instant> sleeps_at(const engine_record& engine) const;
    /// When the busy lease of a running engine ends; nothing if there is none.
    [[nodiscard]] std::optional<instant> busy_until(const engine_record& engine) const;
    [[nodiscard]] result<std::string> key_of(const engine_record& engine) const;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/orchestrator_calls.ipp>
#include <roundhouse/shell/orchestrator_deletion.ipp>
#include <roundhouse/shell/orchestrator_end.ipp>
#include <roundhouse/shell/orchestrator_idempotency.ipp>
#include <roundhouse/shell/orchestrator_lookups.ipp>
#include <roundhouse/shell/orchestrator_products.ipp>
#include <roundhouse/shell/orchestrator_registration.ipp>
#include <roundhouse/shell/orchestrator_settings.ipp>
#include <roundhouse/shell/orchestrator_state.ipp>
#include <roundhouse/shell/orchestrator_upgrade.ipp>
#include <roundhouse/shell/orchestrator_waits.ipp>
#endif
