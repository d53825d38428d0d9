// Writes the start and the data of tests/models/finetuning_run.h into a folder, for PyTorch to train on, and
// prints the first and the last of bertie's own losses in f64:
//   build/release/tests/finetuning_data tests/models/reference/finetuning &&
//   $(scripts/python_env.sh) tests/models/reference/make_finetuning_reference.py
// The folder is a model directory of the encoder; data.safetensors holds for each task
//   TASK.ids i32 [T], TASK.offsets i64 [N + 1], TASK.second_begins i64 [N], TASK.labels   (TaskSequences)
//   TASK.head.NAME                                                     the head's weights
// and, of all tasks, which sequences each step takes: step s those from step_offsets[s] on of `order`.
#include <cstdio>

#include "bertie/nn/parameter_file.h"
#include "tests/models/finetuning_run.h"

using namespace bertie;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: finetuning_data FOLDER\n", stderr);
    return 2;
  }
  std::string folder = argv[1];
  Initializer init = Initializer::normal(0.2, 6);
  save_pretrained(BertModel(FinetuningRun::config(), init), Tokenizer(FinetuningRun::vocabulary()), folder);

  std::vector<NamedArray> tensors;
  for (const std::string& task : FinetuningRun::tasks()) {
    TaskSequences data = FinetuningRun::data(task);
    tensors.push_back({task + ".ids", Array::from(data.ids)});
    tensors.push_back({task + ".offsets", Array::from(data.offsets)});
    tensors.push_back({task + ".second_begins", Array::from(data.second_begins)});
    tensors.push_back({task + ".labels", data.labels});
    FinetuningRun::with_model_of(task, [&]<class Model>(std::type_identity<Model>) {
      BertConfig config = FinetuningRun::config();
      FinetuningRun::configure(config, task);
      for (const NamedArray& tensor : named_parameters(Model(config, Initializer::normal(0.2, 7))))
        if (!tensor.name.starts_with("bert."))
          tensors.push_back({task + ".head." + tensor.name, tensor.array});
    });
  }
  TaskSteps steps(FinetuningRun::sequences, FinetuningRun::batch_size, FinetuningRun::seed);
  std::vector<int64_t> order, step_offsets{0};
  for (int64_t step = 0; step < FinetuningRun::steps; ++step) {
    for (int64_t sequence : steps.sequences(step)) order.push_back(sequence);
    step_offsets.push_back(static_cast<int64_t>(order.size()));
  }
  tensors.push_back({"order", Array::from(order)});
  tensors.push_back({"step_offsets", Array::from(step_offsets)});
  write_safetensors(folder + "/data.safetensors", tensors);

  for (const std::string& task : FinetuningRun::tasks()) {
    std::vector<double> losses = FinetuningRun::losses(folder, task, DType::f64);
    std::printf("%s: %.12f to %.12f\n", task.c_str(), losses.front(), losses.back());
  }
}
