#pragma once

/// The bodies of the component `http`, compiled once, as `<roundhouse/src.hpp>` does for the core.
#include <roundhouse/http/api.ipp>
#include <roundhouse/http/api_fleet.ipp>
#include <roundhouse/http/api_products.ipp>
#include <roundhouse/http/api_waits.ipp>
#include <roundhouse/http/key_failures.ipp>
