// Event files that TensorBoard shows, written by hand: TFRecords of Event protocol buffers
// (tensorflow/core/lib/io/record_writer.h and core/util/event.proto of TensorFlow).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "apps/run/metrics.h"

namespace bertie {

// CRC-32C of some bytes (Castagnoli; RFC 3720, 12.1).
uint32_t crc32c(std::string_view bytes);

class EventFile {
 public:
  // Makes events.out.tfevents.TIME.HOST.PROCESS in the folder, which is made where it isn't there.
  // TensorBoard reads all files of a folder as one run; this one makes it forget what earlier ones say of
  // steps after `first_step`: 0 for a run of its own, else the step from which a run is resumed. `time`:
  // seconds since 1970.
  EventFile(const std::string& folder, int64_t first_step, double time);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  // A scalar for each number of a record but "step": "training/loss", and of an evaluation "held_out/loss".
  // In the file at once. Throws where it can't be written.
  void add(const Record& record, double time);

  const std::string& path() const { return path_; }

 private:
  void write_event(std::string_view event);

  std::string path_;
  int descriptor_ = -1;
  int64_t written_ = 0;  // bytes of whole records
};

}  // namespace bertie
