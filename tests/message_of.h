// The message of the Error that an action throws, or "no error".
#pragma once
#include <string>

#include "bertie/autograd/error.h"

namespace bertie {

template <class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace bertie
