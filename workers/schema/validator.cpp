// The library's validator, with some of its members replaced for the JSON we give it.
//
// What is replaced, and why:
//   validateSchema           counts the work, so that one validation ends soon; says no by itself
//   Pattern, Properties, PropertyNames
//                            std::regex takes exponential time and overflows the stack; RE2 does
//                            not
//   UniqueItems              compares each with each; a set does not
//   Type, MultipleOf         1e300 is an integer, and 4.5 is no multiple of 2
//   MinLength, MaxLength     U+0000 does not end a text
// Everything else, and what leads from one schema to the next, is the library's.
#include "workers/schema/validator.h"

#include "workers/schema/flatten.hpp"
#include "workers/schema/pattern.hpp"

#include <re2/re2.h>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <unordered_set>

using nlohmann::json;

namespace
{

// Half a second in the worst case that was found; see docs/decisions/017-schemas.md.
constexpr size_t WORK_MAX = 500000;
constexpr size_t BYTES_PER_WORK = 64;
// RE2 takes at most about 4 ns a byte and step of the pattern; an ordinary one has about 10 steps.
constexpr size_t STEPS_PER_WORK = 256;
// Schemas that are applied within each other: the stack must hold them.
constexpr size_t DEPTH_MAX = 320;
constexpr size_t ERRORS_MAX = 50;
constexpr size_t NAME_BYTES = 64; // of a name in a path that is carried along
constexpr int64_t PATTERN_BYTES = 128 * 1024;

struct Patterns {
    std::map<std::string, std::unique_ptr<re2::RE2>> made;
};

struct Overrun : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// There are errors enough.
struct Enough {
};

// One validation. There is one at a time, and the library hands nothing through to where it is
// needed.
struct Run {
    const Patterns *patterns;
    size_t work;
    size_t depth;
};
Run *current;

void charge(size_t work)
{
    if (work > current->work)
        throw Overrun("telling whether it fits would take too much work");
    current->work -= work;
}

class Level
{
  public:
    Level()
    {
        if (++current->depth > DEPTH_MAX) {
            current->depth--;
            throw Overrun("it is nested too deeply to tell whether it fits");
        }
    }
    ~Level()
    {
        current->depth--;
    }
    Level(const Level &) = delete;
    Level &operator=(const Level &) = delete;
};

bool matches(const std::string &text, const std::string &pattern)
{
    const re2::RE2 &made = *current->patterns->made.at(pattern);

    charge(1 + text.size() * static_cast<size_t>(made.ProgramSize()) / STEPS_PER_WORK);
    return re2::RE2::PartialMatch(text, made);
}

// Of a path that is carried along. Characters are not cut in two.
std::string short_name(const std::string &name)
{
    size_t len = name.size();

    if (len > NAME_BYTES) {
        len = NAME_BYTES;
        while (len > 0 && (static_cast<unsigned char>(name[len]) & 0xC0) == 0x80)
            len--;
    }
    return "[" + name.substr(0, len) + "]";
}

uint64_t characters(const std::string &text)
{
    uint64_t count = 0;

    charge(1 + text.size() / BYTES_PER_WORK);
    for (char c : text)
        count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return count;
}

bool is_multiple(double value, double divisor)
{
    double times = value / divisor;

    if (!std::isfinite(times))
        return std::fmod(value, divisor) == 0;
    // 19.99 is a multiple of 0.01, though neither is what it looks like in binary.
    return std::fabs(times - std::nearbyint(times)) <=
           4 * std::numeric_limits<double>::epsilon() * std::fabs(times);
}

template <typename Adapter> double number_of(const Adapter &value)
{
    int64_t whole = 0;
    double number = 0;

    if (value.getInteger(whole))
        return static_cast<double>(whole);
    (void)value.getDouble(number);
    return number;
}

// Equal values have equal texts, and only those. Object members come in the order of their names.
template <typename Adapter> void spell(const Adapter &value, std::string *out)
{
    if (value.isArray()) {
        *out += '[';
        for (const Adapter item : value.asArray())
            spell(item, out);
        *out += ']';
    } else if (value.isObject()) {
        *out += '{';
        for (const auto &member : value.asObject()) {
            *out += std::to_string(member.first.size()) + ':' + member.first;
            spell(member.second, out);
        }
        *out += '}';
    } else if (value.isString()) {
        const std::string text = value.asString();

        *out += '"' + std::to_string(text.size()) + ':' + text;
    } else if (value.isInteger()) {
        *out += std::to_string(value.asInteger()) + 'i';
    } else if (value.isNumber()) {
        char text[40];

        (void)snprintf(text, sizeof text, "%a", number_of(value));
        *out += text;
        *out += 'd';
    } else {
        *out += value.isNull() ? 'n' : value.asBool() ? 't' : 'f';
    }
}

} // namespace

namespace valijson
{

using OurAdapter = adapters::NlohmannJsonAdapter;
using OurVisitor = ValidationVisitor<OurAdapter>;

template <> bool OurVisitor::validateSchema(const Subschema &subschema)
{
    Level level;

    // Of our making: see flatten.hpp. A schema that is a boolean has none.
    charge(subschema.hasTitle() ? std::stoul(subschema.getTitle()) : 1);
    if (m_results != nullptr && m_results->numErrors() >= ERRORS_MAX)
        throw Enough();
    if (subschema.getAlwaysInvalid()) {
        if (m_results != nullptr)
            m_results->pushError(m_context, "Nothing is allowed here.");
        return false;
    }
    Subschema::ApplyFunction apply = [this](const constraints::Constraint &constraint) {
        return constraint.accept(*this);
    };
    return m_results == nullptr ? subschema.applyStrict(apply) : subschema.apply(apply);
}

template <> bool OurVisitor::visit(const constraints::PatternConstraint &constraint)
{
    if (!m_target.isString())
        return true;
    const std::string pattern(constraint.getPattern<std::string::allocator_type>());

    if (matches(m_target.asString(), pattern))
        return true;
    if (m_results != nullptr)
        m_results->pushError(m_context, "Failed to match the pattern '" + pattern + "'.");
    return false;
}

template <> bool OurVisitor::visit(const constraints::PropertiesConstraint &constraint)
{
    if (!m_target.isObject())
        return true;
    const OurAdapter::Object object = m_target.asObject();
    const Subschema *others = constraint.getAdditionalPropertiesSubschema();
    std::set<std::string> matched;
    bool fits = true;

    auto check = [&](const std::string &name, const OurAdapter &value, const Subschema &schema) {
        std::vector<std::string> context = m_context;

        context.push_back(short_name(name));
        OurVisitor inner(value, context, m_strictTypes, m_results, m_regexesCache);
        fits = inner.validateSchema(schema) && fits;
        return fits || m_results != nullptr;
    };

    constraint.applyToProperties([&](const auto &named, const Subschema *schema) {
        const std::string name(named.c_str());
        const auto found = object.find(name);

        charge(1);
        if (found == object.end())
            return true;
        matched.insert(name);
        return check(name, found->second, *schema);
    });
    constraint.applyToPatternProperties([&](const auto &named, const Subschema *schema) {
        const std::string pattern(named.c_str());

        for (const auto &member : object) {
            if (!fits && m_results == nullptr)
                return false;
            if (!matches(member.first, pattern))
                continue;
            matched.insert(member.first);
            (void)check(member.first, member.second, *schema);
        }
        return true;
    });
    for (const auto &member : object) {
        if (!fits && m_results == nullptr)
            return false;
        charge(1 + member.first.size() / BYTES_PER_WORK);
        if (matched.count(member.first) > 0)
            continue;
        if (others != nullptr && !others->getAlwaysInvalid()) {
            (void)check(member.first, member.second, *others);
            continue;
        }
        fits = false;
        if (m_results != nullptr)
            m_results->pushError(m_context, "The property '" + member.first + "' is not allowed.");
    }
    return fits;
}

template <> bool OurVisitor::visit(const constraints::PropertyNamesConstraint &constraint)
{
    if (!m_target.isObject())
        return true;
    for (const auto &member : m_target.asObject()) {
        const json name = member.first;
        OurVisitor inner(OurAdapter(name), m_context, m_strictTypes, nullptr, m_regexesCache);

        charge(1 + member.first.size() / BYTES_PER_WORK);
        if (inner.validateSchema(*constraint.getSubschema()))
            continue;
        if (m_results != nullptr)
            m_results->pushError(m_context, "The name '" + member.first + "' is not allowed.");
        return false;
    }
    return true;
}

template <> bool OurVisitor::visit(const constraints::UniqueItemsConstraint &)
{
    if (!m_target.isArray())
        return true;
    std::unordered_set<std::string> met;
    size_t index = 0;

    for (const OurAdapter item : m_target.asArray()) {
        std::string text;

        spell(item, &text);
        charge(1 + text.size() / BYTES_PER_WORK);
        if (!met.insert(std::move(text)).second) {
            if (m_results != nullptr)
                m_results->pushError(m_context, "Item #" + std::to_string(index) +
                                                    " is there before; items should be unique.");
            return false;
        }
        index++;
    }
    return true;
}

template <> bool OurVisitor::visit(const constraints::TypeConstraint &constraint)
{
    using Type = constraints::TypeConstraint;
    bool fits = false;

    constraint.applyToNamedTypes([&](Type::JsonType type) {
        switch (type) {
        case Type::kArray:
            fits = m_target.isArray();
            break;
        case Type::kBoolean:
            fits = m_target.isBool();
            break;
        case Type::kInteger: // one that is too long for an integer is a double
            fits = m_target.isInteger() ||
                   (m_target.isDouble() && std::floor(number_of(m_target)) == number_of(m_target));
            break;
        case Type::kNull:
            fits = m_target.isNull();
            break;
        case Type::kNumber:
            fits = m_target.isNumber();
            break;
        case Type::kObject:
            fits = m_target.isObject();
            break;
        case Type::kString:
            fits = m_target.isString();
            break;
        default:
            break;
        }
        return !fits;
    });
    if (!fits && m_results != nullptr)
        m_results->pushError(m_context, "Value type not permitted by 'type' constraint.");
    return fits;
}

template <> bool OurVisitor::visit(const constraints::MultipleOfIntConstraint &constraint)
{
    const int64_t divisor = constraint.getDivisor();
    bool fits = true;

    if (m_target.isInteger())
        fits = m_target.asInteger() % divisor == 0;
    else if (m_target.isNumber())
        fits = is_multiple(number_of(m_target), static_cast<double>(divisor));
    if (!fits && m_results != nullptr)
        m_results->pushError(m_context,
                             "Value should be a multiple of " + std::to_string(divisor) + ".");
    return fits;
}

template <> bool OurVisitor::visit(const constraints::MultipleOfDoubleConstraint &constraint)
{
    if (!m_target.isNumber() || is_multiple(number_of(m_target), constraint.getDivisor()))
        return true;
    if (m_results != nullptr)
        m_results->pushError(m_context, "Value should be a multiple of " +
                                            json(constraint.getDivisor()).dump() + ".");
    return false;
}

template <> bool OurVisitor::visit(const constraints::MinLengthConstraint &constraint)
{
    if (!m_target.isString() || characters(m_target.asString()) >= constraint.getMinLength())
        return true;
    if (m_results != nullptr)
        m_results->pushError(m_context, "String should have at least " +
                                            std::to_string(constraint.getMinLength()) +
                                            " characters.");
    return false;
}

template <> bool OurVisitor::visit(const constraints::MaxLengthConstraint &constraint)
{
    if (!m_target.isString() || characters(m_target.asString()) <= constraint.getMaxLength())
        return true;
    if (m_results != nullptr)
        m_results->pushError(m_context, "String should have at most " +
                                            std::to_string(constraint.getMaxLength()) +
                                            " characters.");
    return false;
}

} // namespace valijson

struct validator {
    valijson::Schema schema;
    Patterns patterns;
};

namespace
{

// Cut to the buffer, and not within a character.
template <size_t size> void say(char (&out)[size], const std::string &text)
{
    size_t len = text.size();

    if (len >= size) {
        len = size - 1;
        while (len > 0 && (static_cast<unsigned char>(text[len]) & 0xC0) == 0x80)
            len--;
    }
    memcpy(out, text.data(), len);
    out[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (out[i] == '\0')
            out[i] = ' ';
    }
}

void say_both(struct validator_words *why, const std::string &text, const std::string &place)
{
    say(why->text, text);
    say(why->place, place);
}

json read(const void *text, size_t len)
{
    const char *begin = static_cast<const char *>(text);
    json value = json::parse(begin, begin + len);

    even_numbers(&value);
    return value;
}

void make_patterns(Patterns *patterns, const std::set<std::string> &wanted)
{
    re2::RE2::Options options;

    options.set_log_errors(false);
    options.set_max_mem(PATTERN_BYTES);
    for (const std::string &pattern : wanted) {
        std::string translated;
        std::string why;

        if (!pattern_translate(pattern, &translated, &why))
            throw Refusal("the pattern '" + pattern + "' is not supported: " + why, "");
        auto made = std::make_unique<re2::RE2>(translated, options);
        if (!made->ok())
            throw Refusal("the pattern '" + pattern + "' is not supported: " + made->error(), "");
        patterns->made[pattern] = std::move(made);
    }
}

// "<root>", "[a]", "[0]" is "a.0".
std::string dotted(const std::vector<std::string> &context)
{
    std::string path;

    for (size_t i = 1; i < context.size(); i++)
        path += (i > 1 ? "." : "") + context[i].substr(1, context[i].size() - 2);
    return path;
}

bool begins_with(const std::vector<std::string> &context, const std::vector<std::string> &begin)
{
    return context.size() >= begin.size() &&
           std::equal(begin.begin(), begin.end(), context.begin());
}

// The first error says most. But where no alternative fits, that of one of them would mislead: then
// it is the alternatives that are named.
valijson::ValidationResults::Error choose(const valijson::ValidationResults &results)
{
    const valijson::ValidationResults::Error *chosen = nullptr;

    for (const auto &error : results) {
        if (chosen == nullptr ||
            (error.description.compare(0, 31, "Failed to validate against any ") == 0 &&
             begins_with(chosen->context, error.context)))
            chosen = &error;
    }
    if (chosen == nullptr)
        return {{"<root>"}, "It does not fit the schema."};
    return *chosen;
}

bool fits(const struct validator *validator, const json &instance,
          valijson::ValidationResults *results)
{
    Run run = {&validator->patterns, WORK_MAX, 0};
    valijson::Validator library;

    current = &run;
    return library.validate(validator->schema, valijson::OurAdapter(instance), results);
}

enum rc check(const struct validator *validator, struct validator_words *why, const json &instance)
{
    valijson::ValidationResults results;

    if (fits(validator, instance, nullptr))
        return RC_OK;
    try {
        (void)fits(validator, instance, &results);
    } catch (const Enough &) {
    } catch (const Overrun &) {
        // That it does not fit is known, and most often why, too.
    }
    const auto error = choose(results);

    say_both(why, error.description, dotted(error.context));
    return RC_REFUSED;
}

} // namespace

enum rc validator_create(struct validator **out, struct validator_words *why, const void *schema,
                         size_t len)
{
    try {
        const json written = read(schema, len);
        const Flat flat = flatten(written);
        auto made = std::make_unique<validator>();
        valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);

        make_patterns(&made->patterns, flat.patterns);
        parser.populateSchema(valijson::OurAdapter(flat.document), made->schema);
        *out = made.release();
        return RC_OK;
    } catch (const Refusal &refusal) {
        say_both(why, refusal.what(), refusal.place);
    } catch (const json::exception &error) {
        say_both(why, error.what(), "");
    } catch (const std::bad_alloc &) {
        abort(); // as everywhere
    } catch (const std::exception &error) {
        say_both(why, error.what(), "");
    }
    return RC_INVALID;
}

void validator_destroy(struct validator *validator)
{
    delete validator;
}

enum rc validator_check(const struct validator *validator, struct validator_words *why,
                        const void *instance, size_t len)
{
    try {
        return check(validator, why, read(instance, len));
    } catch (const std::bad_alloc &) {
        abort();
    } catch (
        const std::exception &error) { // an Overrun, or a number that is too large for a double
        say_both(why, error.what(), "");
    }
    return RC_TOO_LARGE;
}
