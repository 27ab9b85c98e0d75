@echo off
rem Installs or upgrades the Sitekeeper agent from this folder, without a line. Settings and samples are kept.
chcp 65001 >nul
setlocal
set "FROM=%~dp0"
set "TO=%ProgramFiles%\Sitekeeper"
set "DATA=%ProgramData%\Sitekeeper"
set "CONFIG=%DATA%\agent.yaml"

net session >nul 2>&1
if errorlevel 1 (
    echo 请右键点击 install.cmd，选择“以管理员身份运行”。
    echo Right-click install.cmd and choose "Run as administrator".
    pause
    exit /b 1
)

schtasks /End /TN "\Sitekeeper\Agent" >nul 2>&1

robocopy "%FROM%app" "%TO%\app" /MIR /NJH /NJS /NFL /NDL /NP >nul
if errorlevel 8 goto copyfailed
if exist "%FROM%python\python.exe" (
    robocopy "%FROM%python" "%TO%\python" /MIR /NJH /NJS /NFL /NDL /NP >nul
    if errorlevel 8 goto copyfailed
)

set "PY=%TO%\python\python.exe"
if not exist "%PY%" for /f "delims=" %%p in ('py -3 -c "import sys; print(sys.executable)" 2^>nul') do set "PY=%%p"
if not exist "%PY%" (
    echo 没有找到 Python：请使用带 python 文件夹的安装包，或为所有用户安装 Python 3.11 至 3.13（64 位）。
    echo No Python: use a bundle with a python folder, or install Python 3.11 to 3.13, 64 bit, for all users.
    pause
    exit /b 1
)
"%PY%" -I -S "%TO%\app" --version
if errorlevel 1 (
    echo 此 Python 不能运行本程序。This Python can't run the agent.
    pause
    exit /b 1
)

if not exist "%DATA%\state" mkdir "%DATA%\state"
if not exist "%CONFIG%" (
    copy /Y "%FROM%agent.yaml" "%DATA%\agent.yaml.sample" >nul
    echo.
    echo 请把 %DATA%\agent.yaml.sample 复制为 agent.yaml，填写本站点的信息，然后再次运行 install.cmd。
    echo Copy %DATA%\agent.yaml.sample to agent.yaml, write in this site's own values, and run install.cmd again.
    start "" notepad "%DATA%\agent.yaml.sample"
    pause
    exit /b 0
)

"%PY%" -I -S "%TO%\app" service install --config "%CONFIG%"
if errorlevel 1 (
    pause
    exit /b 1
)
"%PY%" -I -S "%TO%\app" doctor --config "%CONFIG%"
pause
exit /b 0

:copyfailed
echo 复制文件失败：%TO%。Files could not be copied to %TO%.
pause
exit /b 1
