listen "0.0.0.0:3000"
local chat = namespace "/chat"
chat:on("connect", function() end)
chat:on("newListener", function() end)
