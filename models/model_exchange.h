// The files of a model's directory, replaced all together: whenever the program is killed, or the machine
// loses its power, the directory has the whole old model or the whole new one.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "bertie/data/files/folder_lock.h"

namespace bertie {

// What a training program says of its run, beside the model:
// {"steps":12,"planned_steps":100,"finished":false}.
constexpr const char* training_record = "bertie_training.json";

// Whether a file of this name belongs to a model or its tokenizer, as bertie, transformers or
// sentence-transformers writes them.
bool is_model_file(const std::string& name);

// Those names in a directory, in order; none where it isn't there.
std::vector<std::string> model_files_in(const std::string& directory);

// The new files are written into a folder within the directory, bertie-saving-XXXXXX. Once all are there and
// flushed, that folder is renamed to bertie-saved: from now on the new model counts. Its files then take
// their places: the old ones go, config.json first (without it nothing loads a directory), and the new ones
// come, config.json last. finish_exchange() does what is left of that. Of the old files, those go that
// bertie writes and those that transformers would load in place of or together with the new ones (shards,
// pytorch_model.bin, tokenizer.json, …), by their exact names. All others stay.
class ModelExchange {
 public:
  // Makes the directory where it isn't there. Throws where it can't be written or anything that is to go
  // isn't a regular file.
  explicit ModelExchange(const std::string& directory);
  // Removes the new files, unless they count.
  ~ModelExchange();
  ModelExchange(const ModelExchange&) = delete;
  ModelExchange& operator=(const ModelExchange&) = delete;

  const std::string& aside() const { return aside_; }  // the folder to write the new files into
  // Throws where it fails; unless the new files count, as said above, the old model is as it was.
  void take_places();

 private:
  std::string directory_, aside_;
  std::optional<FolderLock> lock_;  // tells others that somebody is at work in the folder aside
};

// Ends an exchange that was interrupted: one whose new files count is completed, and what others have left
// is removed. Waits for one that is going on. Throws where it can't be completed, for want of permission
// most likely. Without any, it costs two looks at the directory.
void finish_exchange(const std::string& directory);

// Throws, naming it, where anything of a model's name isn't a regular file, or can't be removed.
void check_replaceable(const std::string& directory);

}  // namespace bertie
