// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/pin.hpp"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sts6::p11 {
namespace {

constexpr std::size_t kSecureHeapOctets = std::size_t{1} << 18U;
constexpr std::size_t kSecureHeapLeast = 32;

/// Room for the longest PIN, either line end, and one octet to tell a longer file by.
constexpr std::size_t kBufferOctets = Pin::kLongest + 3;

/// A program that wants another size makes its secure heap first; without one, PINs would lie in the ordinary
/// heap.
void ensure_secure_heap() {
    static std::once_flag once;
    std::call_once(once, [] {
        if (CRYPTO_secure_malloc_initialized() != 0) return;
        if (CRYPTO_secure_malloc_init(kSecureHeapOctets, kSecureHeapLeast) != 1) {
            spdlog::warn("the secure heap cannot be locked in memory: a PIN may reach swap space");
        }
    });
}

class File {
  public:
    explicit File(const std::filesystem::path& path)
        : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

  private:
    int descriptor_;
};

std::optional<Errc> refuse_file(int descriptor, const std::filesystem::path& path) {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) return Errc::io_failed;
    if (!S_ISREG(status.st_mode)) {
        spdlog::error("PIN file " + path.string() + " is no regular file");
        return Errc::malformed;
    }
    const bool ours = status.st_uid == ::geteuid() || status.st_uid == 0;
    if (!ours || (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        spdlog::error("PIN file " + path.string() +
                      " must belong to this user and be closed to all others (mode 0600)");
        return Errc::permission;
    }
    return std::nullopt;
}

/// Octets read, at most buffer.size().
std::optional<std::size_t> read_all(int descriptor, std::span<char> buffer) {
    std::size_t filled = 0;
    while (filled < buffer.size()) {
        const ssize_t count = ::read(descriptor, buffer.data() + filled, buffer.size() - filled);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return std::nullopt;
        if (count == 0) break;
        filled += static_cast<std::size_t>(count);
    }
    return filled;
}

std::string_view without_line_end(std::string_view text) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text;
}

}  // namespace

Pin::Pin() {
    ensure_secure_heap();
    text_ = static_cast<char*>(OPENSSL_secure_zalloc(kBufferOctets));
    if (text_ == nullptr) throw std::bad_alloc{};
}

Pin::Pin(Pin&& other) noexcept
    : text_(std::exchange(other.text_, nullptr)), size_(std::exchange(other.size_, 0)) {
}

Pin& Pin::operator=(Pin&& other) noexcept {
    std::swap(text_, other.text_);
    std::swap(size_, other.size_);
    return *this;
}

Pin::~Pin() {
    OPENSSL_secure_clear_free(text_, kBufferOctets);
}

Pin Pin::from_text(std::string_view text) {
    Pin pin;
    pin.size_ = std::min(text.size(), kLongest);
    std::copy_n(text.begin(), pin.size_, pin.text_);
    return pin;
}

Result<Pin> Pin::read_file(const std::filesystem::path& path) {
    const File file(path);
    if (file.descriptor() < 0) {
        const int reason = errno;
        spdlog::error("PIN file " + path.string() +
                      " cannot be opened: " + std::generic_category().message(reason));
        if (reason == ENOENT || reason == ENOTDIR) return Unexpected{Errc::not_found};
        return Unexpected{reason == EACCES || reason == EPERM ? Errc::permission : Errc::io_failed};
    }
    if (const auto refusal = refuse_file(file.descriptor(), path)) return Unexpected{*refusal};

    Pin pin;
    const auto count = read_all(file.descriptor(), std::span(pin.text_, kBufferOctets));
    if (!count) return Unexpected{Errc::io_failed};
    const auto line = without_line_end({pin.text_, *count});
    const bool control = std::any_of(
        line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    if (line.empty() || line.size() > kLongest || control) {
        spdlog::error("PIN file " + path.string() + " must hold one line of 1 to " +
                      std::to_string(kLongest) + " characters");
        return Unexpected{Errc::malformed};
    }
    OPENSSL_cleanse(pin.text_ + line.size(), kBufferOctets - line.size());
    pin.size_ = line.size();
    return pin;
}

}  // namespace sts6::p11
