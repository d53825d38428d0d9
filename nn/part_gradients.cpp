#include "bertie/nn/part_gradients.h"

#include "bertie/autograd/accumulate.h"

namespace bertie {

PartGradients::PartGradients(ParameterBlock& parameters)
    : parameters_(parameters),
      blocks_{parameters.gradients()},
      holds_{std::vector<bool>(parameters.segments().size())} {
  for (size_t i = 0; i < parameters.segments().size(); ++i)
    segment_of_[parameters.segments()[i].parameter.tensor.node().get()] = i;
}

PartGradients::~PartGradients() { collect_in(0); }

void PartGradients::begin(PartTree tree) {
  sums_ = PartSums(tree);
  for (std::vector<bool>& holds : holds_) holds.assign(holds.size(), false);
  collect_in(0);
}

void PartGradients::collect_in(int64_t place) { parameters_.collect_in(blocks_[place], holds_[place]); }

// Where the part goes. What has been there is merged, and held no more.
PartSums::Place PartGradients::next(int64_t part) {
  Place place = sums_.next(part);
  auto index = static_cast<size_t>(place.place);
  if (index == blocks_.size()) {
    blocks_.push_back(Array::empty(blocks_[0].shape(), blocks_[0].dtype()));
    holds_.emplace_back(holds_[0].size());
  }
  return place;
}

void PartGradients::add(int64_t part, const Tensor& loss, const BackwardHooks& hooks) {
  Place place = next(part);
  std::vector<bool>& holds = holds_[place.place];
  const std::vector<ParameterBlock::Segment>& segments = parameters_.segments();
  if (loss) {
    collect_in(place.place);
    if (place.merges == 0) {
      backward(loss, hooks);
    } else {
      BackwardHooks merging = hooks;
      merging.on_final_gradient = [&](const Tensor& parameter) {
        if (auto found = segment_of_.find(parameter.node().get()); found != segment_of_.end()) {
          holds[found->second] = true;
          merge(place, found->second);
        }
        if (hooks.on_final_gradient) hooks.on_final_gradient(parameter);
      };
      backward(loss, merging);
    }
    if (place.merges == 0)
      for (size_t i = 0; i < segments.size(); ++i)
        holds[i] = static_cast<bool>(segments[i].parameter.tensor.grad());
  }
  // Of parameters that this part didn't reach, too.
  for (size_t i = 0; i < segments.size(); ++i) merge(place, i);
  if (place.place > 0) collect_in(0);
}

std::vector<PartGradients::Sum> PartGradients::sums() const {
  std::vector<Sum> sums;
  for (const PartRange& node : sums_.nodes())
    sums.push_back({node, blocks_[sums.size()], holds_[sums.size()]});
  return sums;
}

void PartGradients::complete(std::vector<bool> holds) {
  holds_[0] = std::move(holds);
  collect_in(0);
}

Array PartGradients::view(int64_t place, size_t segment) const {
  const ParameterBlock::Segment& of = parameters_.segments()[segment];
  return blocks_[place].flat(of.begin, {of.end - of.begin});
}

void PartGradients::add_segment(int64_t place, size_t segment, const Array& block) {
  Array into = view(place, segment), from = block.flat(parameters_.segments()[segment].begin, into.shape());
  if (holds_[place][segment])
    add_into(into, from);
  else
    into.copy_from(from);
  holds_[place][segment] = true;
}

// What has been merged is held no more, so that a second call does nothing.
void PartGradients::merge(const Place& place, size_t segment) {
  for (int64_t from = place.place; from > place.place - place.merges; --from) {
    if (!holds_[from][segment]) continue;
    add_segment(from - 1, segment, blocks_[from]);
    holds_[from][segment] = false;
  }
}

}  // namespace bertie
