listen "0.0.0.0:3000"
local chat = namespace "/chat"
chat:on("say", "hello")
chat:use({})
