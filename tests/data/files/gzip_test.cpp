// Compressed text, as gzip itself writes it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/input_file.h"
#include "bertie/data/files/line_blocks.h"
#include "bertie/data/files/mapped_file.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

std::string compressed(const std::string& text) {
  TemporaryFolder folder;
  write_file_atomically(folder / "text", text);
  std::string command = "gzip -c '" + (folder / "text") + "' > '" + (folder / "text.gz") + "'";
  if (std::system(command.c_str()) != 0) throw Error("gzip failed");
  return read_file(folder / "text.gz");
}

// Read by small pieces, so that there is always more than there is room for.
std::string text_in(const std::string& path) {
  InputFile file(path, InputFile::Kind::text);
  std::string text;
  char bytes[999];
  while (size_t got = file.read(bytes, sizeof(bytes))) text.append(bytes, got);
  EXPECT_EQ(file.position(), static_cast<int64_t>(file.bytes()));
  return text;
}

std::string text_of(const std::string& contents, const std::string& name = "text.gz") {
  TemporaryFolder folder;
  write_file_atomically(folder / name, contents);
  return text_in(folder / name);
}

std::string long_text() {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += "line " + std::to_string(i * 7919) + "\n";
  return text + std::string(3'000'000, 'x');  // of which little remains
}

TEST(Gzip, IsReadAsTheTextThatItWas) {
  std::string text = long_text();
  EXPECT_TRUE(text_of(compressed(text)) == text);
  EXPECT_EQ(text_of(compressed("")), "");
  EXPECT_EQ(text_of(compressed("a\n") + compressed("") + compressed("b\n")), "a\nb\n");
  EXPECT_EQ(text_of(compressed("a") + std::string(700, '\0')), "a");  // as a tape's last block
}

// The contents count where the name doesn't tell, as that of standard input.
TEST(Gzip, IsKnownByItsBeginning) {
  EXPECT_EQ(text_of(compressed("a\nb"), "text"), "a\nb");
  EXPECT_EQ(text_of("\x1f", "text"), "\x1f");
  EXPECT_EQ(text_of("\x1f\x1f\x8b", "text"), "\x1f\x1f\x8b");
  EXPECT_EQ(text_of("", "text"), "");
  TemporaryFolder folder;
  write_file_atomically(folder / "model", compressed("a"));
  InputFile model(folder / "model", InputFile::Kind::regular);  // no text
  char bytes[2];
  EXPECT_EQ(model.read(bytes, 2), 2u);
  EXPECT_EQ(std::string_view(bytes, 2), "\x1f\x8b");
}

TEST(Gzip, SaysWhatIsWrong) {
  TemporaryFolder folder;
  auto refusal = [&](const std::string& contents) {
    write_file_atomically(folder / "f.gz", contents);
    return message_of([&] {
      LineBlocks blocks(folder / "f.gz");
      while (!blocks.next().empty()) {
      }
    });
  };
  std::string whole = compressed(long_text()), path = folder / "f.gz";
  std::string breaks_off = "[read] '" + path + "' breaks off: its compressed text isn't complete";
  for (size_t kept : {size_t{0}, size_t{1}, size_t{9}, size_t{1000}, whole.size() / 2, whole.size() - 1})
    EXPECT_EQ(refusal(whole.substr(0, kept)), breaks_off) << kept;
  EXPECT_EQ(refusal(compressed("a") + whole.substr(0, 500)), breaks_off);
  EXPECT_EQ(refusal("plain text\n"),
            "[read] '" + path + "' must be compressed by gzip: incorrect header check");
  EXPECT_EQ(refusal(compressed("a") + "more"),
            "[read] '" + path + "' must be compressed by gzip to its end: incorrect header check");
  whole[whole.size() - 6] ^= 1;  // of the checksum
  EXPECT_EQ(refusal(whole), "[read] '" + path + "' must be compressed by gzip: incorrect data check");
}

}  // namespace
}  // namespace bertie
