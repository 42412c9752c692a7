// SPDX-License-Identifier: Apache-2.0
// The service manager that started the process and waits to hear of it: systemd, with Type=notify. Without
// one nothing happens.
#pragma once

#include <string>

namespace sts6::service_manager {

/// The start or a reload is over. `status` is one line for whoever asks how the service is.
void ready(const std::string& status);
void reloading();
void stopping();

}  // namespace sts6::service_manager
