// Tells tokenizers apart.
#pragma once
#include "bertie/data/files/content_hash.h"
#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

// Adds all that decides which ids a text gets: the vocabulary, tokens that were added to it, and how texts
// are cut into words.
void add_tokenizer(ContentHash& hash, const Tokenizer& tokenizer);

}  // namespace bertie
