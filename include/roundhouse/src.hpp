#pragma once

/// The bodies of the library's core, compiled once: with `ROUNDHOUSE_SEPARATE_COMPILATION` defined in
/// all files, include this header in exactly one of them (config.hpp). The CMake target
/// `roundhouse::compiled` does that.
#include <roundhouse/backend/memory.ipp>
#include <roundhouse/clock/manual.ipp>
#include <roundhouse/clock/system.ipp>
#include <roundhouse/detail/blocking_wait.ipp>
#include <roundhouse/detail/pending_result.ipp>
#include <roundhouse/detail/task.ipp>
#include <roundhouse/orchestrator_base.ipp>
#include <roundhouse/shell/boot_failure_log.ipp>
#include <roundhouse/shell/brakes.ipp>
#include <roundhouse/shell/call_timers.ipp>
#include <roundhouse/shell/command_runner.ipp>
#include <roundhouse/shell/command_scheduler.ipp>
#include <roundhouse/shell/deadline_timers.ipp>
#include <roundhouse/shell/denial_log.ipp>
#include <roundhouse/shell/earliest_timer.ipp>
#include <roundhouse/shell/housekeeping.ipp>
#include <roundhouse/shell/mailbox.ipp>
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
#include <roundhouse/shell/probe_schedule.ipp>
#include <roundhouse/shell/prober.ipp>
#include <roundhouse/shell/provision_once.ipp>
#include <roundhouse/shell/reconciler.ipp>
#include <roundhouse/shell/reconciler_commits.ipp>
#include <roundhouse/shell/reconciler_upgrades.ipp>
#include <roundhouse/shell/reconciler_waits.ipp>
#include <roundhouse/shell/recovery.ipp>
#include <roundhouse/shell/running_engines.ipp>
#include <roundhouse/shell/state_waiters.ipp>
#include <roundhouse/shell/version_preparer.ipp>
#include <roundhouse/store/memory.ipp>
