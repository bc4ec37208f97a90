#pragma once

#include <roundhouse/detail/completion.hpp>

#include <memory>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// A text that comes in pieces, such as the output of an engine that is followed. Whoever reads it
/// sets the pace: nothing is read ahead of a call of `next`. One thread uses it at a time.
class text_stream {
public:
    text_stream() = default;
    text_stream(const text_stream&) = delete;
    text_stream& operator=(const text_stream&) = delete;
    /// Ends a wait that is under way: its `done` gets a failure.
    virtual ~text_stream() = default;

    /// Waits for the next piece, and passes it to `done`: at least one byte and at most 128 KiB,
    /// or an empty text at the end. After the end or a failure nothing more comes. Does not block.
    /// `done` is called once, from any thread, and may be called before this returns. There may be
    /// one call under way.
    virtual void next(completion<std::string> done) = 0;
};

using text_stream_ptr = std::shared_ptr<text_stream>;

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
