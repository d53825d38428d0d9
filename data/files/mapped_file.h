// Reading whole files: as a map of memory, without a copy, or as a string.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace bertie {

// The bytes of a file, read-only, valid as long as any copy of `owner` lives. The system reads them from the
// disk as they are touched, so the file must not be cut short meanwhile; one replaced by a rename is safe.
struct MappedFile {
  std::shared_ptr<const void> owner;
  std::string_view bytes;
};

// An owner for some of a file's bytes: when its last copy goes, the memory that they take is the system's
// again, which reads them anew where somebody else touches them.
std::shared_ptr<const void> owner_of(const MappedFile& file, std::string_view bytes);

// Regular files. Both throw an Error that names the file and the reason: missing, a folder, a pipe, a device,
// not readable, a pointer of Git LFS, larger than the machine's memory (where it is copied).
MappedFile map_file(const std::string& path);
std::string read_file(const std::string& path);

// A text, which may also come through a pipe or, as "-", from standard input, to its end. Throws as the
// others do.
std::string read_text(const std::string& path);

}  // namespace bertie
