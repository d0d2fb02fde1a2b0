listen "0.0.0.0:3000"
local hub = namespace "/hub"
hub:on_server("connection", function() end)
hub:on_server("tick", function() end)
hub:on_server("tick", function() end)
hub:on_server("tock", "a name")
hub:on_server({}, function() end)
