#pragma once

/// Everything that needs no subprocess, Docker, LMDB or HTTP.

#include <roundhouse/backend/memory.hpp>
#include <roundhouse/call_types.hpp>
#include <roundhouse/clock/manual.hpp>
#include <roundhouse/clock/system.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/orchestrator.hpp>
#include <roundhouse/product_handle.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/version.hpp>
#include <roundhouse/wait.hpp>
