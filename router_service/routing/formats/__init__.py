"""Reading the conversation from a client's body: one module an API, each with the same single entry point.

    chat        OpenAI Chat Completions, `messages`
    messages    Anthropic Messages, `messages`
    responses   OpenAI Responses, `input`

Every reader takes the JSON of the field that holds the turns, raises InvalidRequest naming the part that is wrong, and
ignores what it does not know: refusing it is the provider's business. `turns` is what they share.
"""
