-- Lets the Sitekeeper agent ask this mpv what it does. mpv opens its socket and at once closes it to all other users (chmod 600),
-- which also overrules what the folder would have granted; so mpv's own user grants it again.
-- Turn it on for everybody:  mkdir -p /etc/mpv/scripts && ln -s /usr/share/sitekeeper-agent/mpv.lua /etc/mpv/scripts/sitekeeper.lua
local options = { user = "sitekeeper-agent" }
require("mp.options").read_options(options, "sitekeeper")

local socket = mp.get_property("input-ipc-server", "")
if socket:sub(1, 1) == "/" then
    -- When scripts start, the socket may not be there yet.
    mp.add_timeout(0.5, function()
        local command = { "setfacl", "-m", "u:" .. options.user .. ":rw,m::rw", socket }
        mp.command_native_async({ name = "subprocess", playback_only = false, args = command }, function(_, result)
            if not result or result.status ~= 0 then
                mp.msg.warn("the Sitekeeper agent may not ask: setfacl (package acl) failed on " .. socket)
            end
        end)
    end)
end
