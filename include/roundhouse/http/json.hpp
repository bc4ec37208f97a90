#pragma once

/// Reading and writing JSON.
#include <roundhouse/http/json_reader.hpp>
#include <roundhouse/http/json_writer.hpp>
