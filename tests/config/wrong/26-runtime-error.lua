listen "0.0.0.0:3000"
local settings
listen(settings.address)
