/* Streams as backends send them: how many pieces of content, and how each ended. Every one is read
 * whole, byte by byte and at random cuts, and must give the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/rng.h"
#include "proxy/observe.h"

#define EVENTS "text/event-stream; charset=utf-8"
#define LINES  "application/x-ndjson"

/* OpenAI's chat, as many servers speak it */
#define CHUNK(choice)                                                                              \
    "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1,"                    \
    "\"model\":\"m\",\"choices\":[" choice "]}\n\n"
#define ROLE                                                                                       \
    CHUNK("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"                      \
          "\"logprobs\":null,\"finish_reason\":null}")
#define SAYS(text)                                                                                 \
    CHUNK("{\"index\":0,\"delta\":{\"content\":\"" text "\"},"                                     \
          "\"finish_reason\":null}")
#define STOPS(why) CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"" why "\"}")
#define USAGE                                                                                      \
    "data: {\"object\":\"chat.completion.chunk\",\"choices\":[],"                                  \
    "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n"
#define DONE "data: [DONE]\n\n"

/* Messages, and all other streams with named events */
#define EVENT(name, json) "event: " name "\ndata: {\"type\":\"" name "\"" json "}\n\n"
#define M_START                                                                                    \
    EVENT("message_start", ",\"message\":{\"id\":\"m1\",\"type\":\"message\","                     \
                           "\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":3}}")
#define M_BLOCK                                                                                    \
    EVENT("content_block_start", ",\"index\":0,\"content_block\":"                                 \
                                 "{\"type\":\"text\",\"text\":\"\"}")
#define M_SAYS(kind, key, text)                                                                    \
    EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":"                               \
                                 "\"" kind "\",\"" key "\":\"" text "\"}")
#define M_TEXT(text) M_SAYS("text_delta", "text", text)
#define M_CLOSE      EVENT("content_block_stop", ",\"index\":0")
#define M_STOPS(why) EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" why "\"}")
#define M_STOP       EVENT("message_stop", "")

#define R_CREATED EVENT("response.created", ",\"response\":{\"id\":\"r\",\"error\":null}")
#define R_TEXT(t) EVENT("response.output_text.delta", ",\"item_id\":\"i\",\"delta\":\"" t "\"")
#define R_ITEM(t) EVENT("response.output_item.done", ",\"item\":{\"id\":\"i\",\"type\":\"" t "\"}")
#define R_COMPLETED                                                                                \
    EVENT("response.completed", ",\"response\":{\"status\":\"completed\","                         \
                                "\"error\":null,\"output\":[{\"type\":\"message\"}]}")

#define TGI(text, special, whole)                                                                  \
    "data:{\"index\":1,\"token\":{\"id\":7,\"text\":\"" text "\","                                 \
    "\"logprob\":-0.1,\"special\":" special "},"                                                   \
    "\"generated_text\":" whole ",\"details\":null}\n\n"
#define KSERVE(text)                                                                               \
    "data: {\"model_name\":\"m\",\"model_version\":\"1\",\"sequence_end\":false,"                  \
    "\"text_output\":\"" text "\"}\n\n"
#define OLLAMA(text, done)                                                                         \
    "{\"model\":\"m\",\"created_at\":\"2025-01-01T00:00:00Z\","                                    \
    "\"message\":{\"role\":\"assistant\",\"content\":\"" text "\"},"                               \
    "\"done\":" done "}\n"

struct stream {
    const char *name, *type;
    enum stream_protocol protocol;
    const char *bytes;
    unsigned pieces;
    enum outcome_kind outcome;
};

static const struct stream chat[] = {
    {"a good one", EVENTS, PROTOCOL_AUTO, ROLE SAYS("Hel") SAYS("lo") STOPS("stop") DONE, 2,
     OUTCOME_OK},
    {"named", EVENTS, PROTOCOL_OPENAI, ROLE SAYS("Hel") SAYS("lo") STOPS("stop") USAGE DONE, 2,
     OUTCOME_OK},
    {"stops halfway", EVENTS, PROTOCOL_AUTO, ROLE SAYS("Hel"), 1, OUTCOME_TRUNCATED},
    {"stops within an event", EVENTS, PROTOCOL_AUTO, ROLE SAYS("Hel") "data: {\"choices\":[{\"del",
     1, OUTCOME_TRUNCATED},
    {"stops within the mark", EVENTS, PROTOCOL_OPENAI, SAYS("Hel") "data: [DON", 1,
     OUTCOME_TRUNCATED},
    {"the mark without its empty line", EVENTS, PROTOCOL_OPENAI, SAYS("Hel") "data: [DONE]", 1,
     OUTCOME_OK},
    {"nothing but a role", EVENTS, PROTOCOL_AUTO, ROLE, 0, OUTCOME_TRUNCATED},
    {"a role and an end", EVENTS, PROTOCOL_AUTO, ROLE STOPS("stop") DONE, 0, OUTCOME_EMPTY},
    {"an end and nothing", EVENTS, PROTOCOL_AUTO, DONE, 0, OUTCOME_EMPTY},
    {"an end and nothing, named", EVENTS, PROTOCOL_OPENAI, DONE, 0, OUTCOME_EMPTY},
    {"no room to say anything", EVENTS, PROTOCOL_OPENAI, ROLE STOPS("length") DONE, 0, OUTCOME_OK},
    {"all of it filtered", EVENTS, PROTOCOL_AUTO, ROLE STOPS("content_filter") DONE, 0, OUTCOME_OK},
    {"no mark but a reason", EVENTS, PROTOCOL_AUTO, ROLE SAYS("Hi") STOPS("stop"), 1, OUTCOME_OK},
    {"no mark, which was asked for", EVENTS, PROTOCOL_OPENAI, ROLE SAYS("Hi") STOPS("stop"), 1,
     OUTCOME_TRUNCATED},
    {"no mark and no content", EVENTS, PROTOCOL_AUTO, ROLE STOPS("stop"), 0, OUTCOME_EMPTY},
    {"one choice of two has finished", EVENTS, PROTOCOL_AUTO,
     SAYS("a") CHUNK("{\"finish_reason\":null,\"delta\":{\"content\":\"b\"},\"index\":1}")
         STOPS("stop"),
     2, OUTCOME_TRUNCATED},
    {"both have", EVENTS, PROTOCOL_AUTO,
     SAYS("a") CHUNK("{\"finish_reason\":\"stop\",\"delta\":{\"content\":\"b\"},\"index\":1}")
         STOPS("stop"),
     2, OUTCOME_OK},
    {"an empty reason is none", EVENTS, PROTOCOL_AUTO, SAYS("a") STOPS(""), 1, OUTCOME_TRUNCATED},
    {"a tool call", EVENTS, PROTOCOL_AUTO,
     ROLE CHUNK(
         "{\"index\":0,\"delta\":{\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"t\","
         "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},\"finish_reason\":null}")
         STOPS("tool_calls") DONE,
     1, OUTCOME_OK},
    {"a list of no tool calls", EVENTS, PROTOCOL_AUTO,
     CHUNK("{\"index\":0,\"delta\":{\"tool_calls\":[],\"reasoning_content\":null}}") STOPS("stop")
         DONE,
     0, OUTCOME_EMPTY},
    {"a refusal", EVENTS, PROTOCOL_AUTO,
     CHUNK("{\"index\":0,\"delta\":{\"refusal\":\"No.\"}}") STOPS("stop") DONE, 1, OUTCOME_OK},
    {"thoughts", EVENTS, PROTOCOL_AUTO,
     CHUNK("{\"index\":0,\"delta\":{\"reasoning_content\":\"Hm\"}}")
         CHUNK("{\"index\":0,\"delta\":{\"reasoning\":\"Hm\"}}") SAYS("Ah") STOPS("stop") DONE,
     3, OUTCOME_OK},
    {"text completion", EVENTS, PROTOCOL_AUTO,
     "data: {\"object\":\"text_completion\",\"choices\":[{\"text\":\"a\",\"index\":0}]}\n\n"
     "data: {\"object\":\"text_completion\",\"choices\":[{\"text\":\"\",\"index\":0}]}\n\n" DONE,
     1, OUTCOME_OK},
    {"text completion that stops", EVENTS, PROTOCOL_AUTO,
     "data: {\"object\":\"text_completion\",\"choices\":[{\"text\":\"a\",\"index\":0}]}\n\n", 1,
     OUTCOME_TRUNCATED},
    {"a filter's result first", EVENTS, PROTOCOL_AUTO,
     "data: "
     "{\"choices\":[],\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n" ROLE
         SAYS("Hi") STOPS("stop") DONE,
     1, OUTCOME_OK},
    {"what came before is not of it", EVENTS, PROTOCOL_AUTO,
     "data: {\"status\":\"queued\"}\n\n" ROLE STOPS("stop") DONE, 1, OUTCOME_EMPTY},
    {"an error, then the mark", EVENTS, PROTOCOL_AUTO,
     ROLE SAYS("Hi") "data: {\"error\":{\"message\":\"engine died\",\"code\":500}}\n\n" DONE, 1,
     OUTCOME_STREAM_ERROR},
    {"an error and no mark", EVENTS, PROTOCOL_OPENAI,
     "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", 0, OUTCOME_STREAM_ERROR},
    {"an error as an object of its own kind", EVENTS, PROTOCOL_AUTO,
     "data: {\"object\":\"error\",\"message\":\"out of memory\",\"code\":500}\n\n" DONE, 0,
     OUTCOME_STREAM_ERROR},
    {"an error beside choices", EVENTS, PROTOCOL_AUTO,
     SAYS("Hi") "data: {\"error\":{\"code\":\"server_error\"},\"choices\":[{\"index\":0,"
                "\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n" DONE,
     1, OUTCOME_STREAM_ERROR},
    {"an error as a reason", EVENTS, PROTOCOL_AUTO, SAYS("Hi") STOPS("error") DONE, 1,
     OUTCOME_STREAM_ERROR},
    {"a field for errors with none in it", EVENTS, PROTOCOL_AUTO,
     "error:\n\nerror:  \n\n" SAYS("Hi") DONE, 1, OUTCOME_OK},
    {"an error in a field of its own", EVENTS, PROTOCOL_AUTO,
     SAYS("Hi") "error:  {\"code\":500}\n\n", 1, OUTCOME_STREAM_ERROR},
    {"llama.cpp fails within an event", EVENTS, PROTOCOL_AUTO,
     "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\nerror: out of memory\n\n", 1,
     OUTCOME_STREAM_ERROR},
    {"an error after the mark", EVENTS, PROTOCOL_AUTO,
     SAYS("Hi") DONE "data: {\"error\":\"too late\"}\n\n" SAYS("more"), 1, OUTCOME_OK},
    {"errors that are none", EVENTS, PROTOCOL_AUTO,
     "data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"},\"error\":\"x\"}]}\n\n"
     "data: {\"error\":\"\",\"choices\":[{\"delta\":{\"content\":\"a\",\"error\":{\"a\":1}}}]}\n\n"
     "data: {\"error\":{},\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
     "data: {\"error\":false,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" DONE,
     4, OUTCOME_OK},
    {"text about errors and marks", EVENTS, PROTOCOL_AUTO,
     ROLE SAYS("[DONE]") SAYS("\\n\\ndata: [DONE]\\n\\n") SAYS("{\\\"error\\\":{\\\"a\\\":1}}")
         SAYS("\\\",\\\"error\\\":\\\"") SAYS("\\\\") SAYS("event: message_stop"),
     6, OUTCOME_TRUNCATED},
    {"the same, ended well", EVENTS, PROTOCOL_AUTO,
     ROLE SAYS("[DONE]") SAYS("{\\\"error\\\":{\\\"a\\\":1}}") SAYS("\\\\") STOPS("stop") DONE, 3,
     OUTCOME_OK},
    {"escapes and all of Unicode", EVENTS, PROTOCOL_AUTO,
     SAYS("\\ud83d\\ude00") SAYS("\xF0\x9F\x98\x80 \xC3\xA9") SAYS("\\u0022error\\u0022:") DONE, 3,
     OUTCOME_OK},
    {"broken JSON", EVENTS, PROTOCOL_OPENAI,
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]\n\n"
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}]}]}\n\n"
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]} x\n\n"
     "data: {\"choices\" [{\"delta\":{\"content\":\"a\"}}]}\n\n"
     "data: {\"error\":{\"a\":1},,}\n\n"
     "data: {\"error\":\"a\"}}\n\n" DONE,
     0, OUTCOME_EMPTY},
    {"NaN among the log probabilities", EVENTS, PROTOCOL_OPENAI,
     CHUNK("{\"logprobs\":[NaN,-Infinity,1e-9],\"delta\":{\"content\":\"a\"}}") DONE, 1,
     OUTCOME_OK},
    {"content as a list of parts", EVENTS, PROTOCOL_AUTO,
     CHUNK("{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}}") DONE, 1, OUTCOME_OK},
    {"spoken by threads", EVENTS, PROTOCOL_OPENAI,
     "event: thread.run.created\ndata: {\"id\":\"r\"}\n\n"
     "event: thread.message.delta\ndata: {\"delta\":{\"content\":[{\"index\":0}]}}\n\n"
     "event: done\ndata: [DONE]\n\n",
     1, OUTCOME_OK},
};

static const struct stream typed[] = {
    {"a good one", EVENTS, PROTOCOL_AUTO, R_CREATED R_TEXT("a") R_TEXT("b") R_COMPLETED, 2,
     OUTCOME_OK},
    {"as openai, with the other mark behind it", EVENTS, PROTOCOL_OPENAI,
     R_CREATED R_TEXT("a") R_COMPLETED DONE, 1, OUTCOME_OK},
    {"only the other mark", EVENTS, PROTOCOL_AUTO, R_CREATED R_TEXT("a") DONE, 1,
     OUTCOME_TRUNCATED},
    {"stops halfway", EVENTS, PROTOCOL_OPENAI, R_CREATED R_TEXT("a"), 1, OUTCOME_TRUNCATED},
    {"without event lines", EVENTS, PROTOCOL_AUTO,
     "data: {\"response\":{\"error\":null},\"type\":\"response.created\"}\n\n"
     "data: {\"delta\":\"a\",\"type\":\"response.output_text.delta\"}\n\n"
     "data: {\"response\":{\"error\":null},\"type\":\"response.completed\"}\n\n",
     1, OUTCOME_OK},
    {"says nothing", EVENTS, PROTOCOL_AUTO, R_CREATED R_TEXT("") R_ITEM("message") R_COMPLETED, 0,
     OUTCOME_EMPTY},
    {"a call that came whole", EVENTS, PROTOCOL_AUTO, R_CREATED R_ITEM("function_call") R_COMPLETED,
     0, OUTCOME_OK},
    {"out of room", EVENTS, PROTOCOL_AUTO,
     R_CREATED EVENT("response.incomplete", ",\"response\":{\"error\":null}"), 0, OUTCOME_OK},
    {"failed", EVENTS, PROTOCOL_AUTO,
     R_CREATED R_TEXT("a") EVENT("response.failed", ",\"response\":{\"error\":{\"code\":\"x\"}}"),
     1, OUTCOME_STREAM_ERROR},
    {"an error event", EVENTS, PROTOCOL_AUTO,
     R_CREATED "data: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"m\"}\n\n", 0,
     OUTCOME_STREAM_ERROR},
    {"arguments of a kind nobody knew", EVENTS, PROTOCOL_AUTO,
     R_CREATED EVENT("response.new_tool_call.delta", ",\"delta\":{\"a\":1}") R_COMPLETED, 1,
     OUTCOME_OK},
    {"speech", EVENTS, PROTOCOL_AUTO,
     EVENT("speech.audio.delta", ",\"audio\":\"AAAA\"") EVENT("speech.audio.done", ""), 1,
     OUTCOME_OK},
};

static const struct stream messages[] = {
    {"a good one", EVENTS, PROTOCOL_AUTO,
     M_START M_BLOCK EVENT("ping", "") M_TEXT("Hel") M_TEXT("lo") M_CLOSE M_STOPS("end_turn")
         M_STOP,
     2, OUTCOME_OK},
    {"thoughts, a signature and a call", EVENTS, PROTOCOL_ANTHROPIC,
     M_START M_SAYS("thinking_delta", "thinking", "Hm") M_SAYS("signature_delta", "signature", "x")
         EVENT("content_block_start",
               ",\"content_block\":{\"type\":\"tool_use\",\"name\":\"f\",\"input\":{}}")
             M_SAYS("input_json_delta", "partial_json", "")
                 M_SAYS("input_json_delta", "partial_json", "{\\\"a\\\":1}")
                     M_CLOSE M_STOPS("tool_use") M_STOP,
     3, OUTCOME_OK},
    {"stops halfway", EVENTS, PROTOCOL_AUTO, M_START M_BLOCK M_TEXT("Hel"), 1, OUTCOME_TRUNCATED},
    {"stops before the last event", EVENTS, PROTOCOL_ANTHROPIC,
     M_START M_BLOCK M_TEXT("Hel") M_CLOSE M_STOPS("end_turn"), 1, OUTCOME_TRUNCATED},
    {"stops within the last event", EVENTS, PROTOCOL_ANTHROPIC,
     M_START M_TEXT("a") "event: message_stop\ndata: {\"ty", 1, OUTCOME_TRUNCATED},
    {"says nothing", EVENTS, PROTOCOL_AUTO, M_START M_BLOCK M_CLOSE M_STOPS("end_turn") M_STOP, 0,
     OUTCOME_EMPTY},
    {"out of room", EVENTS, PROTOCOL_AUTO, M_START M_STOPS("max_tokens") M_STOP, 0, OUTCOME_OK},
    {"overloaded halfway", EVENTS, PROTOCOL_AUTO,
     M_START M_TEXT("a") EVENT("error", ",\"error\":{\"type\":\"overloaded_error\"}"), 1,
     OUTCOME_STREAM_ERROR},
    {"overloaded from the start", EVENTS, PROTOCOL_AUTO,
     EVENT("error", ",\"error\":{\"type\":\"overloaded_error\"}"), 0, OUTCOME_STREAM_ERROR},
    {"an error, then the end", EVENTS, PROTOCOL_ANTHROPIC,
     M_START EVENT("error", ",\"error\":{\"type\":\"api_error\"}") M_STOP, 0, OUTCOME_STREAM_ERROR},
    {"text about ends and errors", EVENTS, PROTOCOL_AUTO,
     M_START M_TEXT("message_stop") M_TEXT("\\\"type\\\":\\\"message_stop\\\"") M_TEXT("error")
         M_STOPS("end_turn"),
     3, OUTCOME_TRUNCATED},
    {"an end of another protocol", EVENTS, PROTOCOL_ANTHROPIC, M_START M_TEXT("a") DONE, 1,
     OUTCOME_TRUNCATED},
    {"without event lines", EVENTS, PROTOCOL_AUTO,
     "data: {\"type\":\"message_start\",\"message\":{}}\n\n"
     "data: "
     "{\"delta\":{\"text\":\"a\",\"type\":\"text_delta\"},\"type\":\"content_block_delta\"}\n\n"
     "data: {\"type\":\"message_stop\"}\n\n",
     1, OUTCOME_OK},
    {"named, and nothing came", EVENTS, PROTOCOL_ANTHROPIC, "", 0, OUTCOME_TRUNCATED},
};

static const struct stream generate[] = {
    {"Open Inference", EVENTS, PROTOCOL_AUTO, KSERVE("a") KSERVE("") KSERVE("b"), 2, OUTCOME_OK},
    {"Open Inference, said nothing", EVENTS, PROTOCOL_KSERVE, KSERVE("") KSERVE(""), 0,
     OUTCOME_EMPTY},
    {"Open Inference, nothing at all", EVENTS, PROTOCOL_KSERVE, "", 0, OUTCOME_EMPTY},
    {"Open Inference, failed", EVENTS, PROTOCOL_AUTO,
     KSERVE("a") "data: {\"error\":\"m: OOM\"}\n\n", 1, OUTCOME_STREAM_ERROR},
    {"outputs of another name", EVENTS, PROTOCOL_KSERVE,
     "data: {\"model_name\":\"m\",\"model_version\":\"1\",\"scores\":[0.5]}\n\n"
     "data: {\"model_name\":\"m\",\"model_version\":\"1\"}\n\n",
     1, OUTCOME_OK},
    {"nothing after the final response", EVENTS, PROTOCOL_KSERVE,
     KSERVE("a") "data: {\"model_name\":\"m\",\"triton_final_response\":true}\n\n" KSERVE("b"), 1,
     OUTCOME_OK},
    {"TGI", EVENTS, PROTOCOL_AUTO,
     TGI("a", "false", "null") TGI("b", "false", "null") TGI("</s>", "true", "\"ab\""), 2,
     OUTCOME_OK},
    {"TGI as kserve", EVENTS, PROTOCOL_KSERVE,
     TGI("a", "false", "null") TGI("b", "false", "\"ab\""), 2, OUTCOME_OK},
    {"TGI, stops halfway", EVENTS, PROTOCOL_AUTO, TGI("a", "false", "null"), 1, OUTCOME_TRUNCATED},
    {"TGI, said nothing", EVENTS, PROTOCOL_AUTO, TGI("</s>", "true", "\"\""), 0, OUTCOME_EMPTY},
    {"TGI, failed", EVENTS, PROTOCOL_AUTO,
     TGI("a", "false",
         "null") "data:{\"error\":\"Request failed\",\"error_type\":\"generation\"}\n\n",
     1, OUTCOME_STREAM_ERROR},
    {"Ollama", LINES, PROTOCOL_AUTO, OLLAMA("a", "false") OLLAMA("b", "false") OLLAMA("", "true"),
     2, OUTCOME_OK},
    {"Ollama, no last newline", LINES, PROTOCOL_AUTO,
     OLLAMA("a", "false") "{\"message\":{\"content\":\"\"},\"done\":true}", 1, OUTCOME_OK},
    {"Ollama's generate", LINES, PROTOCOL_AUTO,
     "{\"model\":\"m\",\"response\":\"a\",\"done\":false}\r\n"
     "{\"model\":\"m\",\"response\":\"\",\"done\":true,\"done_reason\":\"stop\"}\r\n",
     1, OUTCOME_OK},
    {"Ollama, stops halfway", LINES, PROTOCOL_AUTO, OLLAMA("a", "false"), 1, OUTCOME_TRUNCATED},
    {"Ollama, failed", LINES, PROTOCOL_AUTO, OLLAMA("a", "false") "{\"error\":\"model died\"}\n", 1,
     OUTCOME_STREAM_ERROR},
    {"Ollama, said nothing", LINES, PROTOCOL_AUTO, OLLAMA("", "false") OLLAMA("", "true"), 0,
     OUTCOME_EMPTY},
    {"Ollama, loads a model", LINES, PROTOCOL_AUTO,
     "{\"model\":\"m\",\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}\n", 0, OUTCOME_OK},
};

static const struct stream unknown[] = {
    {"nobody's protocol", EVENTS, PROTOCOL_AUTO, "data: a\n\ndata: b\n\n", 2, OUTCOME_OK},
    {"nobody's protocol with the well-known mark", EVENTS, PROTOCOL_AUTO, "data: a\n\n" DONE, 1,
     OUTCOME_OK},
    {"nothing", EVENTS, PROTOCOL_AUTO, "", 0, OUTCOME_OK},
    {"nothing but signs of life", EVENTS, PROTOCOL_AUTO, ": OPENROUTER PROCESSING\n\n:\n\n", 0,
     OUTCOME_OK},
    {"nothing but signs of life, named", EVENTS, PROTOCOL_OPENAI,
     ": OPENROUTER PROCESSING\n\n: x\n\n", 0, OUTCOME_TRUNCATED},
    {"pings", EVENTS, PROTOCOL_AUTO, "event: ping\ndata: {}\n\ndata: {\"type\":\"ping\"}\n\n", 0,
     OUTCOME_OK},
    {"an event named error", EVENTS, PROTOCOL_AUTO, "data: a\n\nevent: error\ndata: no luck\n\n", 1,
     OUTCOME_STREAM_ERROR},
    {"an event named error without data is none", EVENTS, PROTOCOL_AUTO, "event: error\n\n", 0,
     OUTCOME_OK},
    {"lines of a log", EVENTS, PROTOCOL_AUTO, "data: {\"type\":\"error\",\"line\":\"x\"}\n\n", 1,
     OUTCOME_OK},
    {"an answer of JSON-RPC", EVENTS, PROTOCOL_AUTO,
     "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602}}\n\n", 1,
     OUTCOME_OK},
    {"questions with choices", EVENTS, PROTOCOL_AUTO,
     "data: {\"question\":\"q\",\"choices\":[{\"text\":\"a\"},{\"text\":\"b\"}]}\n\n", 0,
     OUTCOME_OK},
    {"a response of one's own", EVENTS, PROTOCOL_AUTO,
     "event: response.chunk\ndata: {\"text\":\"a\"}\n\n", 1, OUTCOME_OK},
    {"rows", LINES, PROTOCOL_AUTO, "{\"a\":1}\n\n  \n[2]\r\n{\"done\":false}\n", 3, OUTCOME_OK},
    {"plain has no mark", EVENTS, PROTOCOL_PLAIN, DONE "data: a\n\n", 1, OUTCOME_OK},
    {"tokens of one's own", EVENTS, PROTOCOL_AUTO, "data: {\"token\":{\"text\":\"a\"}}\n\n", 1,
     OUTCOME_OK},
    {"a name belongs to its own event", EVENTS, PROTOCOL_AUTO, "event: error\n\ndata: a\n\n", 1,
     OUTCOME_OK},
    {"plain asks for nothing", EVENTS, PROTOCOL_PLAIN,
     ROLE "event: error\ndata: {\"error\":{\"a\":1}}\n\nerror: x\n\n", 2, OUTCOME_OK},
};

static const struct stream wires[] = {
    {"CRLF", EVENTS, PROTOCOL_AUTO,
     "event: message_start\r\ndata: {\"type\":\"message_start\"}\r\n\r\n"
     "event: content_block_delta\r\ndata: {\"delta\":{\"text\":\"a\"}}\r\n\r\n"
     "event: message_stop\r\ndata: {}\r\n\r\n",
     1, OUTCOME_OK},
    {"CR", EVENTS, PROTOCOL_AUTO,
     "event: message_start\rdata: {}\r\revent: content_block_delta\rdata: {\"delta\":{\"text\":"
     "\"a\"}}\r\revent: message_stop\rdata: {}\r\r",
     1, OUTCOME_OK},
    {"all mixed", EVENTS, PROTOCOL_AUTO,
     "data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\n\ndata: e\r\n\r\n", 5, OUTCOME_OK},
    {"a byte order mark", EVENTS, PROTOCOL_OPENAI,
     "\xEF\xBB\xBF"
     "data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata:[DONE]\n\n",
     1, OUTCOME_OK},
    {"half a byte order mark", EVENTS, PROTOCOL_AUTO,
     "\xEF\xBB"
     "data: a\n\ndata: b\n\n",
     1, OUTCOME_OK},
    {"no spaces, and too many", EVENTS, PROTOCOL_OPENAI,
     "data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
     "data: \t { \"choices\" : [ { \"delta\" : { \"content\" : \"b\" } } ] } \t\n\n"
     "data:   [DONE]  \n\n",
     2, OUTCOME_OK},
    {"data on several lines", EVENTS, PROTOCOL_OPENAI,
     "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\ndata:\"a\"}\ndata\ndata:}]}\n\n" DONE,
     1, OUTCOME_OK},
    {"a string on two lines is no string", EVENTS, PROTOCOL_OPENAI,
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\ndata: b\"}}]}\n\n" DONE, 0, OUTCOME_EMPTY},
    {"a mark on two lines is none", EVENTS, PROTOCOL_OPENAI, "data: [DO\ndata: NE]\n\n", 0,
     OUTCOME_TRUNCATED},
    {"a mark with more behind it is none", EVENTS, PROTOCOL_OPENAI,
     "data: [DONE] x\n\ndata: [DONE]]\n\n", 0, OUTCOME_TRUNCATED},
    {"other fields, and fields nobody knows", EVENTS, PROTOCOL_OPENAI,
     "id: 1\nretry: 5\ndatum: x\ndat: [DONE]\n data: [DONE]\ndatadata: x\nx\n\n" SAYS("a") DONE, 1,
     OUTCOME_OK},
    {"a name that is too long", EVENTS, PROTOCOL_AUTO,
     "event: response.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.delta\n"
     "data: {}\n\n",
     1, OUTCOME_OK},
    {"a name that is far too long", EVENTS, PROTOCOL_AUTO,
     "data: "
     "{\"type\":\"response.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.delta\"}\n\n",
     1, OUTCOME_OK},
    {"the last name counts", EVENTS, PROTOCOL_AUTO, "event: error\nevent: x\ndata: a\n\n", 1,
     OUTCOME_OK},
};

static void head_for(const char *type, struct head *ret)
{
    static char text[512];
    const char *why;
    int n =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", type);

    assert_int_equal(
        head_parse_response((struct str){text, (size_t)n}, 0, HEAD_LIMITS_MOST, false, ret, &why),
        0);
}

static struct observe *open_stream(enum stream_protocol protocol, const char *type,
                                   struct observe_shapes *shapes)
{
    static struct head h;
    bool unseen;

    head_for(type, &h);
    struct observe *o = observe_new(protocol, &h, shapes, &unseen);
    assert_non_null(o);
    assert_false(unseen);
    return o;
}

/* `cut`: the most bytes in a run; with rng, each run is 1 to `cut` bytes. */
static void expect_with(const struct stream *s, struct str bytes, size_t cut, struct rng *rng,
                        struct observe_shapes *shapes)
{
    struct observe *o = open_stream(s->protocol, s->type, shapes);
    unsigned pieces = 0;

    while (bytes.len > 0) {
        size_t n = rng == NULL ? cut : 1 + rng_below(rng, (uint32_t)cut);
        n = n < bytes.len ? n : bytes.len;
        pieces += observe_bytes(o, (struct str){bytes.ptr, n});
        bytes.ptr += n;
        bytes.len -= n;
    }
    enum outcome_kind whole = observe_end(o, true), broken = observe_end(o, false);
    observe_free(o);
    if (pieces != s->pieces || whole != s->outcome)
        fail_msg("%s (runs of %zu%s): %u pieces, %s; wanted %u, %s", s->name, cut,
                 rng == NULL ? "" : " or less", pieces, outcome_names[whole], s->pieces,
                 outcome_names[s->outcome]);
    assert_int_equal(broken, whole == OUTCOME_STREAM_ERROR ? whole : OUTCOME_TRUNCATED);
}

/* By itself, and after all the streams before it. */
static void expect(const struct stream *s, struct str bytes, size_t cut, struct rng *rng)
{
    static struct observe_shapes *shapes;

    if (shapes == NULL)
        shapes = observe_shapes_new();
    expect_with(s, bytes, cut, rng, NULL);
    expect_with(s, bytes, cut, rng, shapes);
}

/* After itself: its first event is known then. */
static void expect_again(const struct stream *s, struct str bytes)
{
    struct observe_shapes *shapes = observe_shapes_new();

    for (int i = 0; i < 3; i++)
        expect_with(s, bytes, bytes.len + 1, NULL, shapes);
    observe_shapes_free(shapes);
}

static void expect_all(const struct stream *streams, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct stream *s = &streams[i];
        struct str bytes = str_from(s->bytes);
        struct rng rng;

        rng_seed(&rng, 20 + i);
        expect(s, bytes, bytes.len + 1, NULL);
        expect_again(s, bytes);
        for (size_t cut = 1; cut <= 16; cut++)
            expect(s, bytes, cut, NULL);
        for (size_t round = 0; round < 30; round++)
            expect(s, bytes, 1 + round * 7, &rng);
    }
}

#define STREAM_TEST(streams)                                                                       \
    static void test_##streams(void **state)                                                       \
    {                                                                                              \
        (void)state;                                                                               \
        expect_all(streams, ARRAY_LEN(streams));                                                   \
    }

STREAM_TEST(chat)
STREAM_TEST(typed)
STREAM_TEST(messages)
STREAM_TEST(generate)
STREAM_TEST(unknown)
STREAM_TEST(wires)

/* An event may be larger than all that is ever held: nothing of it is. */
static void test_huge_events(void **state)
{
    static const char front[] = "data: {\"choices\":[{\"delta\":{\"content\":\"";
    static const char back[] = "\"}}]}\n\n" DONE;
    const size_t size = 1024 * 1024;
    char *bytes = malloc(sizeof(front) + size + sizeof(back));
    const struct stream s = {"1 MiB of content", EVENTS, PROTOCOL_OPENAI, "", 1, OUTCOME_OK};

    (void)state;
    assert_non_null(bytes);
    for (int escapes = 0; escapes < 2; escapes++) {
        memcpy(bytes, front, sizeof(front) - 1);
        for (size_t i = 0; i < size; i++)
            bytes[sizeof(front) - 1 + i] = escapes ? "\\\""[i % 2] : "QUJD"[i % 4];
        memcpy(bytes + sizeof(front) - 1 + size, back, sizeof(back) - 1);
        struct str all = {bytes, sizeof(front) - 1 + size + sizeof(back) - 1};
        expect(&s, all, all.len, NULL);
        expect(&s, all, 65536, NULL);
        expect(&s, all, 1, NULL);
    }
    free(bytes);
}

static void test_depth_is_bounded(void **state)
{
    static char bytes[4096];
    static const size_t depths[] = {200, 1000};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        size_t n = (size_t)snprintf(bytes, sizeof(bytes), "data: {\"tools\":");
        for (size_t d = 0; d < depths[i]; d++)
            bytes[n++] = '[';
        for (size_t d = 0; d < depths[i]; d++)
            bytes[n++] = ']';
        n += (size_t)snprintf(bytes + n, sizeof(bytes) - n,
                              ",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" DONE);
        const struct stream s = {"deep", EVENTS,           PROTOCOL_OPENAI,
                                 "",     i == 0 ? 1u : 0u, i == 0 ? OUTCOME_OK : OUTCOME_EMPTY};
        expect(&s, (struct str){bytes, n}, n, NULL);
        expect(&s, (struct str){bytes, n}, 3, NULL);
    }
}

/* The time of a token is that of the run which completed it. */
static void test_pieces_count_where_they_end(void **state)
{
    struct observe *o = open_stream(PROTOCOL_AUTO, EVENTS, NULL);

    (void)state;
    assert_int_equal(observe_bytes(o, STR(ROLE)), 0);
    assert_int_equal(observe_bytes(o, STR("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}")),
                     0);
    assert_int_equal(observe_bytes(o, STR("\n")), 0);
    assert_int_equal(observe_bytes(o, STR("\n" SAYS("b") SAYS("c") "data: ")), 3);
    assert_int_equal(observe_bytes(o, STR("")), 0);
    assert_int_equal(observe_bytes(o, STR("[DONE]\n\n")), 0);
    assert_int_equal(observe_bytes(o, STR(SAYS("after the end"))), 0);
    assert_int_equal(observe_end(o, true), OUTCOME_OK);
    assert_int_equal(observe_end(o, true), OUTCOME_OK); /* asking changes nothing */
    observe_free(o);
    observe_free(NULL);
}

/* Two events, the second so like the first that it must not be taken for the same, or different and
 * yet the same: each means what it means without the other. */
#define TOKEN(content, finish)                                                                     \
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":17,\"choices\":[{"      \
    "\"index\":0,\"delta\":{\"content\":" content "},\"finish_reason\":" finish "}]}\n\n"

static const struct {
    const char *name, *type, *first, *second;
    unsigned pieces; /* in the second */
    enum outcome_kind outcome;
} likes[] = {
    {"another text", EVENTS, TOKEN("\"a\"", "null"), TOKEN("\"bcd\"", "null"), 1,
     OUTCOME_TRUNCATED},
    {"an escape", EVENTS, TOKEN("\"a\"", "null"), TOKEN("\"\\n\\\"\"", "null"), 1,
     OUTCOME_TRUNCATED},
    {"an empty text", EVENTS, TOKEN("\"a\"", "null"), TOKEN("\"\"", "null"), 0, OUTCOME_TRUNCATED},
    {"a text after an empty one", EVENTS, TOKEN("\"\"", "null"), TOKEN("\"a\"", "null"), 1,
     OUTCOME_TRUNCATED},
    {"no text", EVENTS, TOKEN("\"a\"", "null"), TOKEN("null", "null"), 0, OUTCOME_TRUNCATED},
    {"a number in its place", EVENTS, TOKEN("\"a\"", "null"), TOKEN("1", "null"), 0,
     OUTCOME_TRUNCATED},
    {"a control byte in it", EVENTS, TOKEN("\"a\"", "null"), TOKEN("\"\t\"", "null"), 0,
     OUTCOME_TRUNCATED},
    {"a line end in it", EVENTS, TOKEN("\"a\"", "null"), TOKEN("\"x\ny\"", "null"), 0,
     OUTCOME_TRUNCATED},
    {"a text that looks like more", EVENTS, TOKEN("\"a\"", "null"),
     TOKEN("\"\\\"},\\\"error\\\":{\\\"a\\\":1}\"", "null"), 1, OUTCOME_TRUNCATED},
    {"more", EVENTS, TOKEN("\"a\"", "null"), TOKEN("\"a\"},\"error\":{\"a\":1", "null"), 1,
     OUTCOME_TRUNCATED},
    {"an error behind it", EVENTS, TOKEN("\"a\"", "null"),
     "data: {\"id\":\"c1\",\"error\":{\"message\":\"no\"}}\n\n", 0, OUTCOME_STREAM_ERROR},
    {"a reason to finish", EVENTS, TOKEN("\"a\"", "\"stop\""), TOKEN("\"a\"", "\"error\""), 0,
     OUTCOME_STREAM_ERROR},
    {"finished", EVENTS, TOKEN("\"a\"", "null"), TOKEN("\"a\"", "\"stop\""), 1, OUTCOME_OK},
    {"an error of another text", EVENTS, "data: {\"id\":7,\"error\":0}\n\n",
     "data: {\"id\":8,\"error\":true}\n\n", 0, OUTCOME_STREAM_ERROR},
    {"a number for a number", EVENTS, "data: {\"id\":7,\"error\":0}\n\n",
     "data: {\"id\":-8.5e3,\"error\":1}\n\n", 1, OUTCOME_OK},
    {"a number that goes on", EVENTS, "data: {\"id\":7}\n\n",
     "data: {\"id\":7:{\"error\":\"a\"}}\n\n", 1, OUTCOME_OK},
    {"a name", EVENTS, "event: a\ndata: {\"b\":1}\n\n", "event: error\ndata: {\"b\":1}\n\n", 0,
     OUTCOME_STREAM_ERROR},
    {"the end behind it", EVENTS, TOKEN("\"a\"", "null"), TOKEN("\"a\"", "null") DONE, 1,
     OUTCOME_OK},
    {"a line", LINES, "{\"response\":\"a\",\"done\":false}\n",
     "{\"response\":\"bc\",\"done\":false}\n", 1, OUTCOME_TRUNCATED},
    {"the last line", LINES, "{\"response\":\"a\",\"done\":false}\n",
     "{\"response\":\"\",\"done\":true}\n", 0, OUTCOME_OK},
};

static void test_events_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(likes); i++) {
        for (int known = 0; known < 2; known++) {
            struct observe_shapes *shapes = known ? observe_shapes_new() : NULL;
            struct observe *o = open_stream(PROTOCOL_AUTO, likes[i].type, shapes);
            for (int k = 0; k < 20; k++) /* the first line of all may have a byte order mark */
                observe_bytes(o, str_from(likes[i].first));
            unsigned pieces = observe_bytes(o, str_from(likes[i].second));
            enum outcome_kind outcome = observe_end(o, true);
            if (pieces != likes[i].pieces || outcome != likes[i].outcome)
                fail_msg("%s%s: %u pieces, %s", likes[i].name, known ? " (shapes)" : "", pieces,
                         outcome_names[outcome]);
            observe_free(o);
            observe_shapes_free(shapes);
        }
    }
}

#define TYPE(type)     "HTTP/1.1 200 OK\r\nContent-Type: " type "\r\n"
#define ENCODING(name) TYPE("text/event-stream") "Content-Encoding: " name "\r\n"

static const struct {
    const char *name, *head;
    bool stream, unseen;
} heads[] = {
    {"events", TYPE("text/event-stream"), true, false},
    {"with parameters, in any case", TYPE("Text/Event-Stream ; charset=utf-8"), true, false},
    {"lines", TYPE("application/x-ndjson"), true, false},
    {"lines by another name", TYPE("application/jsonl"), true, false},
    {"JSON", TYPE("application/json"), false, false},
    {"a type that only starts so", TYPE("text/event-stream-2"), false, false},
    {"no type", "HTTP/1.1 200 OK\r\n", false, false},
    {"an answer of 500 is judged by that", "HTTP/1.1 500 No\r\nContent-Type: text/event-stream\r\n",
     false, false},
    {"no content", "HTTP/1.1 204 No Content\r\nContent-Type: text/event-stream\r\n", false, false},
    {"identity", ENCODING("identity"), true, false},
    {"gzip", ENCODING("gzip"), false, true},
    {"twice encoded", ENCODING("identity") "Content-Encoding: br\r\n", false, true},
    {"gzip, and no stream", TYPE("text/html") "Content-Encoding: gzip\r\n", false, false},
};

static void test_heads(void **state)
{
    static struct head h;
    char text[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        const char *why;
        bool unseen = !heads[i].unseen;
        int n = snprintf(text, sizeof(text), "%s\r\n", heads[i].head);
        assert_int_equal(head_parse_response((struct str){text, (size_t)n}, 0, HEAD_LIMITS_MOST,
                                             false, &h, &why),
                         0);
        struct observe *o = observe_new(PROTOCOL_AUTO, &h, NULL, &unseen);
        if ((o != NULL) != heads[i].stream || unseen != heads[i].unseen)
            fail_msg("%s: stream %d, unseen %d", heads[i].name, o != NULL, unseen);
        observe_free(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chat),
        cmocka_unit_test(test_typed),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_generate),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_wires),
        cmocka_unit_test(test_huge_events),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_pieces_count_where_they_end),
        cmocka_unit_test(test_events_alike),
        cmocka_unit_test(test_heads),
    };

    return cmocka_run_group_tests_name("observe", tests, NULL, NULL);
}
