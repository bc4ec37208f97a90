// The one file of roundhouse::compiled (RoundhouseCompiled.cmake).
#include <roundhouse/src.hpp>
