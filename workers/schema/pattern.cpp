// One pass over the expression. RE2's syntax looks the same and differs in what \s, the dot and a
// few letters behind a backslash mean; everything that is not known to mean the same is refused.
#include "workers/schema/pattern.hpp"

#include <cctype>
#include <cstring>

namespace
{

// What ECMA-262 counts as white space, inside a class.
const char *const blanks = "\\t\\n\\v\\f\\r \\x{a0}\\x{feff}\\x{2028}\\x{2029}\\p{Zs}";
const char *const dot = "[^\\n\\r\\x{2028}\\x{2029}]";

class Translation
{
  public:
    Translation(const std::string &from, std::string *to, std::string *why)
        : from_(from), to_(*to), why_(*why)
    {
    }

    bool run()
    {
        while (at_ < from_.size()) {
            if (!step())
                return false;
        }
        return !in_class_ || refuse("a class [ that is not closed");
    }

  private:
    bool refuse(const std::string &what)
    {
        why_ = what;
        return false;
    }

    bool looking_at(const char *text) const
    {
        return from_.compare(at_, strlen(text), text) == 0;
    }

    bool put(const char *text, size_t taken)
    {
        to_ += text;
        at_ += taken;
        return true;
    }

    bool step()
    {
        if (from_[at_] == '\\')
            return escape();
        if (in_class_)
            return step_in_class();
        if (from_[at_] == '[')
            return open_class();
        if (from_[at_] == '.')
            return put(dot, 1);
        if (looking_at("(?") && !looking_at("(?:"))
            return refuse("a group that begins with (? and is not (?:");
        return copy();
    }

    bool copy()
    {
        to_ += from_[at_++];
        return true;
    }

    bool open_class()
    {
        size_t first = at_ + (looking_at("[^") ? 2 : 1);

        if (first < from_.size() && from_[first] == ']')
            return refuse("an empty class []");
        to_.append(from_, at_, first - at_);
        at_ = first;
        in_class_ = true;
        return true;
    }

    bool step_in_class()
    {
        if (from_[at_] == ']')
            in_class_ = false;
        if (from_[at_] == '[')
            return put("\\[", 1); // [: would begin a class of POSIX
        return copy();
    }

    // \uXXXX and \xXX
    bool hexadecimal(size_t digits)
    {
        std::string code = from_.substr(at_ + 2, digits);

        if (code.size() != digits)
            return refuse("a \\x or \\u without its digits");
        for (char c : code) {
            if (isxdigit(static_cast<unsigned char>(c)) == 0)
                return refuse("a \\x or \\u without its digits");
        }
        if (digits == 4 && (code[0] == 'd' || code[0] == 'D') && code[1] >= '8')
            return refuse("a \\u that is half a character");
        to_ += "\\x{" + code + "}";
        at_ += 2 + digits;
        return true;
    }

    bool property()
    {
        size_t end = from_.find('}', at_);

        if (at_ + 2 >= from_.size() || from_[at_ + 2] != '{' || end == std::string::npos)
            return refuse("a \\p without {name}");
        to_.append(from_, at_, end + 1 - at_);
        at_ = end + 1;
        return true;
    }

    bool escape()
    {
        if (at_ + 1 == from_.size())
            return refuse("a \\ at the end");
        char c = from_[at_ + 1];

        if (c == 's')
            return in_class_ ? put(blanks, 2) : put((std::string("[") + blanks + "]").c_str(), 2);
        if (c == 'S')
            return in_class_ ? refuse("a \\S in a class")
                             : put((std::string("[^") + blanks + "]").c_str(), 2);
        if (c == 'b' && in_class_)
            return put("\\x08", 2);
        if (c == 'B' && in_class_)
            return refuse("a \\B in a class");
        if (c == 'u')
            return hexadecimal(4);
        if (c == 'x')
            return hexadecimal(2);
        if (c == 'p' || c == 'P')
            return property();
        if (c == '\0' ||
            (strchr("dDwWbBtnrfv", c) == nullptr && (ispunct(static_cast<unsigned char>(c)) == 0)))
            return refuse(std::string("a \\") +
                          (isprint(static_cast<unsigned char>(c)) != 0 ? c : '?'));
        to_.append(from_, at_, 2);
        at_ += 2;
        return true;
    }

    const std::string &from_;
    std::string &to_;
    std::string &why_;
    size_t at_ = 0;
    bool in_class_ = false;
};

} // namespace

bool pattern_translate(const std::string &ecma, std::string *re2, std::string *why)
{
    re2->clear();
    return Translation(ecma, re2, why).run();
}
